/**
 * Numbers are moved, not computed: as whole numbers, so that the bits of NaN stay, and by vectors of four where every
 * width and offset is a multiple of four. An invocation has one vector or number: for slice of the part, for split and
 * concat of the whole, whose place in a row says which part it belongs to. Traffic: two numbers an element, three where
 * gradients are added. Eight parts and the whole are more than the 8 buffers of a pass: then there are two passes over a
 * part of the row each.
 */
import type { Kernel, KernelCall, KernelSet, Pass } from "../kernel.ts";
import { into, wide } from "./library.ts";

/** Parts that one pass binds beside the whole. */
const mostParts = 7;

const isWhole = (count: number) => count % 4 === 0;

/** A pass of `count` vectors or numbers, `i` each. */
function pass(reads: string[], writes: string[], count: number, limit: string, body: string): Pass {
  return {
    reads,
    writes,
    workgroups: Math.ceil(count / wide),
    workgroupSize: wide,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= ${limit}) { return; }
  ${body}
}`,
  };
}

const slice: KernelSet = {
  dynamic: ["rows", "before", "width", "after"],
  forward({ sizes: { rows, before, width, after } }) {
    const four = [before, width, after].every(isWhole);
    const unit = four ? 4 : 1;
    const type = four ? "vec4u" : "u32";
    const w = `(width / ${unit}u)`;
    const body = `y[i] = u[(i / ${w} * (before + width + after) + before) / ${unit}u + i % ${w}];`;
    const moved = pass([`u: ${type}`], [`y: ${type}`], (rows * width) / unit, `rows * ${w}`, body);
    return { passes: [{ ...moved, bytes: 8 * rows * width }] };
  },
  // All of du is written unless it is added to: then only what the slice took.
  backward(call) {
    const { rows, before, width, after } = call.sizes;
    const four = [before, width, after].every(isWhole);
    const unit = four ? 4 : 1;
    const type = four ? "vec4f" : "f32";
    const w = `(width / ${unit}u)`;
    if (call.adds("d_u")) {
      const body = `d_u[(i / ${w} * (before + width + after) + before) / ${unit}u + i % ${w}] += d_y[i];`;
      const added = pass([`d_y: ${type}`], [`d_u: ${type}`], (rows * width) / unit, `rows * ${w}`, body);
      return { passes: [{ ...added, bytes: 12 * rows * width }] };
    }
    const stride = `((before + width + after) / ${unit}u)`;
    const body = `let at = i % ${stride} - before / ${unit}u;
  if (at < ${w}) { d_u[i] = d_y[i / ${stride} * ${w} + at]; } else { d_u[i] = ${type}(0.0); }`;
    const count = (rows * (before + width + after)) / unit;
    return { passes: [pass([`d_y: ${type}`], [`d_u: ${type}`], count, `rows * ${stride}`, body)] };
  },
};

/** Whether a pass moves numbers from the whole to the parts, and what it does to where they go. */
interface Move {
  readonly toParts: boolean;
  readonly whole: string;
  /** The buffer of a part, or null where nobody wants or has it. */
  part(index: number): string | null;
  /** The type of its numbers: u32 where they are moved, f32 where they are added. */
  readonly type: "u32" | "f32";
  adds(name: string): boolean;
}

/** The passes that move the parts of all rows, some parts at a time. */
function moves({ sizes }: KernelCall, parts: number, move: Move): Pass[] {
  const widths = Array.from({ length: parts }, (_, k) => sizes[`w${k}`]);
  const four = widths.every(isWhole);
  const unit = four ? 4 : 1;
  const view = (name: string) => `${name}: ${four ? (move.type === "u32" ? "vec4u" : "vec4f") : move.type}`;
  const start = (k: number) =>
    k === 0 ? "0u" : `((${Array.from({ length: k }, (_, j) => `w${j}`).join(" + ")}) / ${unit}u)`;
  const passes: Pass[] = [];
  const share = parts > mostParts ? Math.ceil(parts / 2) : parts;
  for (let first = 0; first < parts; first += share) {
    const end = Math.min(parts, first + share);
    const span = widths.slice(first, end).reduce((a, b) => a + b, 0) / unit;
    const spanCode = `(${start(end)} - ${start(first)})`;
    const own = Array.from({ length: end - first }, (_, k) => first + k);
    const cases = own.map((k) => {
      const name = move.part(k);
      const at = `row * (w${k} / ${unit}u) + at - ${start(k)}`;
      const [to, from] = move.toParts
        ? [`${name}[${at}]`, `${move.whole}[place]`]
        : [`${move.whole}[place]`, name === null ? `${view("").slice(2)}(0)` : `${name}[${at}]`];
      const target = move.toParts ? name : move.whole;
      const line = target === null ? "" : `${to} ${into(move.adds(target))} ${from};`;
      return k === end - 1 ? `{ ${line} }` : `if (at < ${start(k + 1)}) { ${line} } else`;
    });
    const names = own.flatMap((k) => move.part(k) ?? []).map(view);
    if (names.length === 0 && move.toParts) continue;
    const [reads, writes] = move.toParts ? [[view(move.whole)], names] : [names, [view(move.whole)]];
    const body = `let row = i / ${spanCode};
  let at = i % ${spanCode} + ${start(first)};
  let place = row * ${start(parts)} + at;
  ${cases.join("\n  ")}`;
    const added = move.toParts
      ? own.filter((k) => move.adds(move.part(k) ?? "")).reduce((sum, k) => sum + widths[k], 0)
      : move.adds(move.whole)
        ? span * unit
        : 0;
    passes.push({
      ...pass(reads, writes, sizes.rows * span, `rows * ${spanCode}`, body),
      bytes: 4 * sizes.rows * (2 * span * unit + added),
    });
  }
  return passes;
}

const never = () => false;
const dynamicOf = (parts: number) => ["rows", ...Array.from({ length: parts }, (_, k) => `w${k}`)];

function split(parts: number): KernelSet {
  return {
    dynamic: dynamicOf(parts),
    forward: (call) => ({
      passes: moves(call, parts, {
        toParts: true,
        whole: "u",
        part: (k) => `part${k}`,
        type: "u32",
        adds: never,
      }),
    }),
    backward: (call) => ({
      passes: moves(call, parts, {
        toParts: false,
        whole: "d_u",
        part: (k) => (call.has(`d_part${k}`) ? `d_part${k}` : null),
        type: "f32",
        adds: (name) => call.adds(name),
      }),
    }),
  };
}

function concat(parts: number): KernelSet {
  return {
    dynamic: dynamicOf(parts),
    forward: (call) => ({
      passes: moves(call, parts, {
        toParts: false,
        whole: "y",
        part: (k) => `part${k}`,
        type: "u32",
        adds: never,
      }),
    }),
    backward: (call) => ({
      passes: moves(call, parts, {
        toParts: true,
        whole: "d_y",
        part: (k) => (call.has(`d_part${k}`) ? `d_part${k}` : null),
        type: "f32",
        adds: (name) => call.adds(name),
      }),
    }),
  };
}

/** A gradient under another shape: copied, or added. */
const reshaped: Kernel = (call) => ({
  passes: [
    pass(
      ["d_y: vec4f"],
      ["d_u: vec4f"],
      Math.ceil(call.length("d_u") / 4),
      "arrayLength(&d_u)",
      `d_u[i] ${into(call.adds("d_u"))} d_y[i];`,
    ),
  ],
});

/** Whole numbers, whatever they are: bits are copied. */
const assign: KernelSet = {
  forward: (call) => ({
    passes: [
      pass(
        ["value: vec4u"],
        ["target_: vec4u"],
        Math.ceil(call.length("value") / 4),
        "arrayLength(&target_)",
        "target_[i] = value[i];",
      ),
    ],
  }),
};

const counts = [2, 3, 4, 5, 6, 7, 8];

export const reshapeSets: Readonly<Record<string, KernelSet>> = {
  slice,
  ...Object.fromEntries(counts.map((parts) => [`split${parts}`, split(parts)])),
  ...Object.fromEntries(counts.map((parts) => [`concat${parts}`, concat(parts)])),
  reshape: { backward: reshaped },
  assign,
  assignIntegers: assign,
};
