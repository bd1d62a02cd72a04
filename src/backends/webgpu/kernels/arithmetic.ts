/**
 * Forward and the gradient of an operand that is nowhere repeated: an invocation computes one vector of four along the
 * last axis where its size allows, else one element, and finds both operands by the strides of the call. Traffic: 3
 * floats an element where shapes are equal, 4 or 5 for both gradients, less for what is repeated.
 *
 * The gradient of a repeated operand is a sum over the axes along which it repeats: see reduction.ts. Its terms read dy,
 * and the operands as the slope has them, once.
 */
import type { Kernel, KernelCall, KernelSet, Pass, Schedule } from "../kernel.ts";
import { into, wide } from "./library.ts";
import { reduction } from "./reduction.ts";

const axes = [0, 1, 2, 3] as const;
const dynamic = axes.flatMap((i) => [`n${i}`, `a${i}`, `b${i}`]);

type Operand = "a" | "b";

/** An op's value and slopes in WGSL, of `a` and `b`. */
interface Expressions {
  readonly value: string;
  readonly slope: Readonly<Record<Operand, string>>;
}

/** How an element of y, or a vector of four, is addressed: by WGSL coordinates k0 … k3, of which k3 counts vectors. */
interface Layout {
  readonly vector: boolean;
  readonly type: "vec4f" | "f32";
  /** Whether the operand has the last axis: then it is read by vectors too. */
  readonly hasLast: Readonly<Record<Operand, boolean>>;
  /** Axes of more than one element; the others have coordinate 0. */
  readonly used: readonly number[];
}

function layoutOf({ sizes }: KernelCall): Layout {
  const used = axes.filter((i) => sizes[`n${i}`] !== 1);
  const vector = sizes.n3 % 4 === 0 || used.every((i) => i === 3);
  return {
    vector,
    type: vector ? "vec4f" : "f32",
    hasLast: { a: sizes.a3 !== 0, b: sizes.b3 !== 0 },
    used,
  };
}

/** The size of an axis in vectors or elements. */
function extent(i: number, { vector }: Layout): string {
  return i === 3 && vector ? "((n3 + 3u) / 4u)" : `n${i}`;
}

/** WGSL that gives the coordinates of these axes from `from`, which counts through them, the last one fastest. */
function coordinates(of: readonly number[], from: string, layout: Layout): string {
  const lines = [`var rest_${from} = ${from};`];
  for (const [place, i] of [...of.entries()].reverse()) {
    const size = extent(i, layout);
    lines.push(
      place === 0
        ? `let k${i} = rest_${from};`
        : `let k${i} = rest_${from} % ${size}; rest_${from} /= ${size};`,
    );
  }
  return lines.join("\n  ");
}

function indexOfY(layout: Layout): string {
  return layout.used.reduce((at, i) => (at ? `(${at}) * ${extent(i, layout)} + k${i}` : `k${i}`), "") || "0u";
}

/** WGSL that loads an operand at the coordinates. */
function load(operand: Operand, { vector, hasLast, used, type }: Layout): string {
  const whole = vector && hasLast[operand];
  const before = used.filter((i) => i !== 3).map((i) => `k${i} * ${operand}${i}`);
  const outer = before.join(" + ") || "0u";
  const last = used.includes(3) && hasLast[operand] ? " + k3" : "";
  const at = whole ? `(${outer}) / 4u${last}` : `${outer}${last}`;
  return whole || !vector ? `${operand}[${at}]` : `${type}(${operand}[${at}])`;
}

/** Bindings of the operands that the expressions mention. */
function operandReads(expressions: readonly string[], { vector, hasLast }: Layout): string[] {
  const mentioned = (["a", "b"] as const).filter((name) =>
    expressions.some((text) => new RegExp(`\\b${name}\\b`).test(text)),
  );
  return mentioned.map((name) => (vector && hasLast[name] ? `${name}: vec4f` : name));
}

function loads(reads: readonly string[], layout: Layout): string {
  return (["a", "b"] as const)
    .filter((name) => reads.some((read) => read.split(":")[0] === name))
    .map((name) => `let ${name} = ${load(name, layout)};`)
    .join("\n  ");
}

/** A pass over all of y that writes buffers of its shape. */
function overAll(
  call: KernelCall,
  layout: Layout,
  given: Pick<Pass, "reads" | "writes">,
  write: string,
): Pass {
  const { n0, n1, n2, n3 } = call.sizes;
  const count = n0 * n1 * n2 * (layout.vector ? Math.ceil(n3 / 4) : n3);
  return {
    reads: given.reads,
    writes: given.writes,
    workgroups: Math.ceil(count / wide),
    workgroupSize: wide,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= ${layout.used.map((axis) => extent(axis, layout)).join(" * ") || "1u"}) { return; }
  ${coordinates(layout.used, "i", layout)}
  ${loads(given.reads, layout)}
  ${write}
}`,
  };
}

const view = (name: string, { type }: Layout) => (type === "vec4f" ? `${name}: vec4f` : name);

function forwardOf({ value }: Expressions): Kernel {
  return (call) => {
    const layout = layoutOf(call);
    const reads = operandReads([value], layout);
    return { passes: [overAll(call, layout, { reads, writes: [view("y", layout)] }, `y[i] = ${value};`)] };
  };
}

function backwardOf({ slope }: Expressions): Kernel {
  return (call) => {
    const layout = layoutOf(call);
    const asked = (["a", "b"] as const).filter((name) => call.has(`d_${name}`));
    const whole = asked.filter((name) => layout.used.every((i) => call.sizes[`${name}${i}`] !== 0));
    const schedules: Schedule[] = asked
      .filter((name) => !whole.includes(name))
      .map((name) => summed(call, layout, name, slope[name]));
    if (whole.length > 0) {
      const values = whole.map((name) => `d_y[i] * ${slope[name]}`);
      const reads = [...operandReads(values, layout), view("d_y", layout)];
      const writes = whole.map((name) => view(`d_${name}`, layout));
      const lines = whole.map((name, i) => `d_${name}[i] ${into(call.adds(`d_${name}`))} ${values[i]};`);
      schedules.unshift({ passes: [overAll(call, layout, { reads, writes }, lines.join("\n  "))] });
    }
    return {
      passes: schedules.flatMap(({ passes }) => passes),
      scratch: Object.assign({}, ...schedules.map(({ scratch }) => scratch)),
    };
  };
}

/** The gradient of a repeated operand: the axes that it has make its outputs, the others the terms of each. */
function summed(call: KernelCall, layout: Layout, operand: Operand, slope: string): Schedule {
  const { sizes } = call;
  const kept = layout.used.filter((i) => sizes[`${operand}${i}`] !== 0);
  const repeated = layout.used.filter((i) => !kept.includes(i));
  const count = (of: readonly number[]) => ({
    code: `(${of.map((i) => extent(i, layout)).join(" * ") || "1u"})`,
    value: of.reduce((n, i) => n * (i === 3 && layout.vector ? Math.ceil(sizes.n3 / 4) : sizes[`n${i}`]), 1),
  });
  const across = layout.vector && repeated.includes(3);
  const value = `d_y[${indexOfY(layout)}] * ${slope}`;
  const reads = [...operandReads([value], layout), view("d_y", layout)];
  const innermost = sizes.n3 / (layout.vector ? 4 : 1);
  // Buffers are padded with anything: the last vector of a line that is no multiple of four must not count it.
  const masked = across && sizes.n3 % 4 !== 0;
  return reduction({
    name: `partials_${operand}`,
    type: layout.type,
    words: layout.vector ? 4 : 1,
    identity: `${layout.type}(0.0)`,
    across,
    reads,
    term: /* wgsl */ `
fn term(output: u32, i: u32) -> ${layout.type} {
  ${coordinates(kept, "output", layout)}
  ${coordinates(repeated, "i", layout)}
  ${loads(reads, layout)}
  let product = ${value};
  return ${masked ? "select(vec4f(0.0), product, vec4u(0u, 1u, 2u, 3u) < vec4u(n3 - 4u * k3))" : "product"};
}`,
    outputs: count(kept),
    terms: count(repeated),
    along: repeated.includes(3) ? "terms" : { outputs: innermost },
    writes: [across ? `d_${operand}` : view(`d_${operand}`, layout)],
    finish: `d_${operand}[output] ${into(call.adds(`d_${operand}`))} total;`,
  });
}

function binary(expressions: Expressions): KernelSet {
  return { dynamic, forward: forwardOf(expressions), backward: backwardOf(expressions) };
}

/** An op on each element and a number. */
function withNumber(name: string, value: string, slope: string): KernelSet {
  const pass = (call: KernelCall, read: string, write: string, statement: string): Schedule => ({
    passes: [
      {
        reads: [`${read}: vec4f`],
        writes: [`${write}: vec4f`],
        workgroups: Math.ceil(call.length(read) / (4 * wide)),
        workgroupSize: wide,
        code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = ${wide}u * group + lane;
  if (i >= arrayLength(&${write})) { return; }
  ${statement}
}`,
      },
    ],
  });
  return {
    floats: [name],
    dynamic: [name],
    forward: (call) => pass(call, "u", "y", `y[i] = ${value};`),
    backward: (call) => pass(call, "d_y", "d_u", `d_u[i] ${into(call.adds("d_u"))} ${slope};`),
  };
}

export const arithmeticSets: Readonly<Record<string, KernelSet>> = {
  add: binary({ value: "a + b", slope: { a: "1.0", b: "1.0" } }),
  sub: binary({ value: "a - b", slope: { a: "1.0", b: "-1.0" } }),
  mul: binary({ value: "a * b", slope: { a: "b", b: "a" } }),
  div: binary({ value: "a / b", slope: { a: "(1.0 / b)", b: "(-a / b / b)" } }),
  scale: withNumber("factor", "factor * u[i]", "factor * d_y[i]"),
  addScalar: withNumber("c", "u[i] + c", "d_y[i]"),
};
