import { type Binding, nameOf, type Pass, type Schedule } from "../kernel.ts";

/** A number that kernels know as a WGSL expression in the names of the call's sizes. */
export interface Count {
  readonly code: string;
  readonly value: number;
}

/** Many outputs, each combined of equally many terms. */
export interface Reduction {
  /** WGSL type of the terms, and how many 32-bit words it is stored in. */
  readonly type: string;
  readonly words: number;
  /** WGSL for what no term makes, and for what two make. Default: their sum. */
  readonly identity: string;
  readonly combine?: (a: string, b: string) => string;
  /** Adds up the four numbers that an invocation has of its row: terms are `vec4f`, and sums f32. */
  readonly across?: boolean;
  readonly reads: readonly Binding[];
  /** WGSL functions that `combine` and `finish` use. */
  readonly functions?: string;
  /** WGSL with `fn term(output: u32, i: u32) -> type`: the i-th term of an output. */
  readonly term: string;
  readonly outputs: Count;
  readonly terms: Count;
  /** What neighbouring invocations take, as it lies in memory: neighbouring terms, or so many neighbouring outputs. */
  readonly along: "terms" | { readonly outputs: number };
  readonly writes: readonly Binding[];
  /** WGSL that stores `total` of `output`, and what it reads. */
  readonly finish: string;
  readonly finishReads?: readonly Binding[];
  /** Bytes that it moves for an output, where terms are single numbers and it touches few of what it binds. */
  readonly finishBytes?: number;
  /** Names of the scratch buffers begin with it, where a call has several reductions. */
  readonly name?: string;
}

/** Invocations of a workgroup. */
const size = 256;

/**
 * A workgroup has a tile of outputs and a block of their terms: an invocation combines every so-manieth term of one
 * output, and a tree in workgroup memory what its invocations have. Terms of more than one block leave partial results,
 * reduced by another pass of the same form: at most 1/64 of what was read. Which terms meet when depends on how many there
 * are, never on how many outputs, so that an output's bits are its own.
 */
export function reduction(given: Reduction): Schedule {
  const { outputs, along, across = false, combine = (a, b) => `${a} + ${b}`, name = "partials" } = given;
  const byTerm = along === "terms";
  const passes: Pass[] = [];
  const scratch: Record<string, number> = {};
  const type = across ? "f32" : given.type;
  const words = across ? 1 : given.words;
  let { reads, term, terms } = given;
  for (let level = 0; ; level++) {
    const { lanes, block } = shapeOf(terms.value, given);
    const tile = size / lanes;
    const blocks: Count = {
      code: `((${terms.code} + ${block - 1}u) / ${block}u)`,
      value: Math.max(1, Math.ceil(terms.value / block)),
    };
    const last = blocks.value === 1;
    const partials = name + "_".repeat(level);
    const at = (output: string, block: string) =>
      byTerm ? `${output} * ${blocks.code} + ${block}` : `${block} * ${outputs.code} + ${output}`;
    const four = across && level === 0;
    passes.push({
      reads: last ? union(reads, given.finishReads ?? []) : reads,
      writes: last ? given.writes : [`${partials}: ${type}`],
      workgroups: Math.ceil(outputs.value / tile) * blocks.value,
      workgroupSize: size,
      bytes:
        last && given.finishBytes !== undefined
          ? outputs.value * (4 * terms.value * (level === 0 ? 1 : words) + given.finishBytes)
          : undefined,
      code: /* wgsl */ `${given.functions ?? ""}
${term}
${lanes > 1 ? `var<workgroup> shares: array<${type}, ${size}>;` : ""}
fn run(group: u32, lane: u32) {
  let tiles = (${outputs.code} + ${tile - 1}u) / ${tile}u;
  let block = group / tiles;
  let part = lane ${byTerm ? `% ${lanes}u` : `/ ${tile}u`};
  let output = group % tiles * ${tile}u + lane ${byTerm ? `/ ${lanes}u` : `% ${tile}u`};
  var own = ${level > 0 && across ? "0.0" : given.identity};
  if (output < ${outputs.code}) {
    let end = min(${terms.code}, (block + 1u) * ${block}u);
    for (var i = block * ${block}u + part; i < end; i += ${lanes}u) { own = ${combine("own", "term(output, i)")}; }
  }
  var total = ${four ? "(own.x + own.y) + (own.z + own.w)" : "own"};
  ${lanes > 1 ? tree(lanes, byTerm ? 1 : tile, combine) : ""}
  if (output >= ${outputs.code} || part > 0u) { return; }
  ${last ? given.finish : `${partials}[${at("output", "block")}] = total;`}
}`,
    });
    if (last) return { passes, scratch };
    scratch[partials] = outputs.value * blocks.value * words;
    reads = [`${partials}: ${type}`];
    term = `fn term(output: u32, i: u32) -> ${type} { return ${partials}[${at("output", "i")}]; }`;
    terms = blocks;
  }
}

/** How many invocations share the terms of an output, and how many terms they take. */
function shapeOf(terms: number, { along, words }: Reduction): { lanes: number; block: number } {
  const least = along === "terms" ? 1 : Math.min(powerOfTwo(along.outputs), words >= 4 ? 16 : 32);
  const lanes = Math.min(size / least, powerOfTwo(terms / 4)); // four terms each at least
  return { lanes, block: lanes * (along === "terms" ? 16 : 8) };
}

/** The smallest power of two that is not below x. */
function powerOfTwo(x: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(x)));
}

/** Combines the shares of `lanes` invocations, `stride` apart, in the first of them. */
function tree(lanes: number, stride: number, combine: (a: string, b: string) => string): string {
  return /* wgsl */ `shares[lane] = total;
  workgroupBarrier();
  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    if (part < half) { shares[lane] = ${combine("shares[lane]", `shares[lane + half * ${stride}u]`)}; }
    workgroupBarrier();
  }
  total = shares[lane];`;
}

function union(a: readonly Binding[], b: readonly Binding[]): Binding[] {
  return [...a, ...b.filter((more) => !a.some((one) => nameOf(one) === nameOf(more)))];
}
