/**
 * Sums and largest elements along an axis: see reduction.ts for who adds what. Rows are read as vectors of four where all
 * of them begin at one. The largest is looked for among pairs of whole numbers, (order of the float, position): then NaN,
 * which comes before all others, cannot be lost to a compiler. Traffic: u once; the gradient of a sum writes du once, that
 * of max reads u again, and writes du once, or, where it is added, only at the maxima.
 */
import type { Kernel, KernelCall, KernelSet, Pass, Schedule } from "../kernel.ts";
import { into, wide } from "./library.ts";
import { reduction } from "./reduction.ts";

const dynamic = ["outer", "n", "inner"];

/** Where the i-th of an output's elements lies. */
const place = /* wgsl */ `
fn placeOf(output: u32, i: u32) -> u32 { return (output / inner * n + i) * inner + output % inner; }`;

function sumOver(weight: string): Kernel {
  return (call) => {
    const { outer, n, inner } = call.sizes;
    const rows = inner === 1;
    const outputs = { code: "(outer * inner)", value: outer * inner };
    const common = { writes: ["y"], along: rows ? ("terms" as const) : { outputs: inner } };
    const finish = `y[output] = ${weight} * total;`;
    if (rows) {
      // The same sums in the same order, whether a row begins at a vector or not.
      const vectors = n % 4 === 0 || outer === 1;
      const parts = [0, 1, 2, 3].map((k) => `u[min(at + ${k}u, arrayLength(&u) - 1u)]`);
      return reduction({
        ...common,
        type: "vec4f",
        words: 4,
        identity: "vec4f(0.0)",
        across: true,
        reads: [vectors ? "u: vec4f" : "u"],
        term: /* wgsl */ `
fn term(output: u32, i: u32) -> vec4f {
  let at = output * n + 4u * i;
  let four = ${vectors ? "u[at / 4u]" : `vec4f(${parts.join(", ")})`};
  return select(vec4f(0.0), four, vec4u(0u, 1u, 2u, 3u) < vec4u(n - 4u * i));
}`,
        outputs,
        terms: { code: "((n + 3u) / 4u)", value: Math.ceil(n / 4) },
        finish,
      });
    }
    if (inner % 4 === 0) {
      return reduction({
        ...common,
        type: "vec4f",
        words: 4,
        identity: "vec4f(0.0)",
        reads: ["u: vec4f"],
        writes: ["y: vec4f"],
        term: /* wgsl */ `
fn term(output: u32, i: u32) -> vec4f {
  let width = inner / 4u;
  return u[(output / width * n + i) * width + output % width];
}`,
        outputs: { code: "(outer * inner / 4u)", value: (outer * inner) / 4 },
        terms: { code: "n", value: n },
        along: { outputs: inner / 4 },
        finish,
      });
    }
    return reduction({
      ...common,
      type: "f32",
      words: 1,
      identity: "0.0",
      reads: ["u"],
      term: /* wgsl */ `${place}
fn term(output: u32, i: u32) -> f32 { return u[placeOf(output, i)]; }`,
      outputs,
      terms: { code: "n", value: n },
      finish,
    });
  };
}

function repeat(weight: string): Kernel {
  return (call) => ({ passes: [spread(call, ["d_y"], () => `${weight} * own`)] });
}

/**
 * Writes all of du, in order, by vectors where they do not cross an end of the axis: `value` is made of `own`, the gradient
 * of the element's output, its index `i` along the axis, and `output`.
 */
function spread(call: KernelCall, reads: readonly string[], value: (type: string) => string): Pass {
  const { outer, n, inner } = call.sizes;
  const across = inner % 4 === 0;
  const along = inner === 1 && (n % 4 === 0 || outer === 1);
  const four = across || along;
  const [length, width] = [along ? "((n + 3u) / 4u)" : "n", across ? "(inner / 4u)" : "inner"];
  const count = outer * (along ? Math.ceil(n / 4) : n) * (across ? inner / 4 : inner);
  const type = four ? "vec4f" : "f32";
  return {
    reads: reads.map((read) => (across ? vectors(read) : read)),
    writes: [`d_u: ${type}`],
    workgroups: Math.ceil(count / wide),
    workgroupSize: wide,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let at = ${wide}u * group + lane;
  if (at >= outer * ${length} * ${width}) { return; }
  ${inner === 1 ? "let row = at;" : `let row = at / ${width};`}
  let output = ${inner === 1 ? `row / ${length}` : `row / ${length} * ${width} + at % ${width}`};
  let i = ${along ? `4u * (row % ${length}) + vec4u(0u, 1u, 2u, 3u)` : four ? `vec4u(row % ${length})` : `row % ${length}`};
  let own = ${along ? "vec4f(d_y[output])" : "d_y[output]"};
  d_u[at] ${into(call.adds("d_u"))} ${value(type)};
}`,
  };
}

/** A binding by vectors of four of what it holds. */
function vectors(binding: string): string {
  return binding.endsWith(": u32") ? binding.replace("u32", "vec4u") : `${binding}: vec4f`;
}

/** Comparing as whole numbers: a larger float has a larger key, NaN the largest, and zeros are one. */
const larger = /* wgsl */ `
fn larger(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}`;
const key = /* wgsl */ `
fn keyOf(word: u32) -> u32 {
  if ((word & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  return select(word | 0x80000000u, ~word, word > 0x80000000u);
}`;

interface Search {
  readonly sizes: { readonly outer: number; readonly n: number; readonly inner: number };
  readonly outputs: string;
  /** WGSL of an element's place, from `output` and `i`. */
  readonly place: string;
  readonly writes: string[];
  readonly finish: string;
  readonly finishReads?: string[];
  readonly finishBytes: number;
}

/** Finds `total.y`, the position of the first NaN of each output, or else of its first maximum. */
function search({ sizes: { outer, n, inner }, outputs, place, ...rest }: Search): Schedule {
  return reduction({
    ...rest,
    type: "vec2u",
    words: 2,
    identity: "vec2u(0u, 0xffffffffu)",
    reads: ["u: u32"],
    combine: (a, b) => `larger(${a}, ${b})`,
    functions: larger,
    term: /* wgsl */ `${key}
fn term(output: u32, i: u32) -> vec2u { return vec2u(keyOf(u[${place}]), i); }`,
    outputs: { code: outputs, value: outer * inner },
    terms: { code: "n", value: n },
    along: inner === 1 ? "terms" : { outputs: inner },
  });
}

const elementOf = (i: string) => `(output / inner * n + ${i}) * inner + output % inner`;

const max: KernelSet = {
  dynamic,
  forward: ({ sizes: { outer, n, inner } }) =>
    search({
      sizes: { outer, n, inner },
      outputs: "(outer * inner)",
      place: elementOf("i"),
      writes: ["y: u32"],
      finish: `y[output] = u[${elementOf("total.y")}];`,
      finishReads: ["u: u32"],
      finishBytes: 8,
    }),
  backward(call) {
    const { outer, n, inner } = call.sizes;
    const adds = call.adds("d_u");
    const { passes, scratch } = search({
      sizes: { outer, n, inner },
      outputs: "(outer * inner)",
      place: elementOf("i"),
      ...(adds
        ? {
            writes: ["d_u"],
            finish: `d_u[${elementOf("total.y")}] += d_y[output];`,
            finishReads: ["d_y"],
            finishBytes: 12,
          }
        : { writes: ["firsts: u32"], finish: "firsts[output] = total.y;", finishBytes: 4 }),
    });
    if (adds) return { passes, scratch };
    const chosen = (type: string) => {
      const first = type === "vec4f" && inner === 1 ? "vec4u(firsts[output])" : "firsts[output]";
      return `select(${type}(0.0), own, ${first} == i)`;
    };
    const rest = spread(call, ["firsts: u32", "d_y"], chosen);
    return { passes: [...passes, rest], scratch: { ...scratch, firsts: outer * inner } };
  },
};

export const reduceSets: Readonly<Record<string, KernelSet>> = {
  sum: { dynamic, forward: sumOver("1.0"), backward: repeat("1.0") },
  mean: { dynamic, forward: sumOver("(1.0 / f32(n))"), backward: repeat("(1.0 / f32(n))") },
  max,
  argmax: {
    dynamic: ["rows", "n"],
    forward: ({ sizes: { rows, n } }) =>
      search({
        sizes: { outer: rows, n, inner: 1 },
        outputs: "rows",
        place: "output * n + i",
        writes: ["index"],
        finish: "index[output] = i32(total.y);",
        finishBytes: 4,
      }),
  },
};
