/** What the passes of the selective scan have in common: how work is shared out, and the WGSL for it. */
import type { Gpu, KernelCall } from "../kernel.ts";
import { log1p, scalar, sigmoid } from "./library.ts";
import { extent, type Extent, type Work } from "./work.ts";

/** Steps between two states that are kept for backward. As in ops/selectiveScan.ts. */
export const chunkSteps = 16;

/**
 * A workgroup has `channels` neighbouring channels of one group and sequence, for one span of time. `lanes` invocations
 * share a channel, each with `vectors` · 4 of its states; invocations in a row have channels in a row.
 */
export interface Share {
  readonly channels: number;
  readonly lanes: number;
  readonly vectors: number;
  /** Invocations of a workgroup. */
  readonly size: number;
  /** Channels of a group, and workgroups for them. */
  readonly perGroup: number;
  readonly perBlocks: number;
  /** Whether some channels of a workgroup, or some states of a channel, are not there. */
  readonly ragged: boolean;
  readonly padded: boolean;
  /**
   * Whether 16 neighbours, which are in one subgroup, have four lanes of four channels: then what the lanes of a channel
   * have is added up by shuffles (`sumOfLanes`). Otherwise neighbours have neighbouring channels.
   */
  readonly inside: boolean;
}

/** `vectors`: how many a lane should have. `most`: invocations of a workgroup, at most. */
export function shareOf(call: KernelCall, vectors: number, most: number, gpu?: Gpu): Share {
  const { dInner, dState, groups } = call.sizes;
  const perGroup = dInner / groups;
  const all = Math.ceil(dState / 4);
  const lanes = Math.min(most, Math.ceil(all / vectors));
  let channels = 1;
  const wanted = Math.min(lanes === 1 ? 64 : 32, perGroup);
  const few = () => channels < wanted || channels * lanes < 32; // GPUs run 32 or 64 at once, needed or not
  while (few() && 2 * channels * lanes <= most) channels *= 2;
  const own = Math.ceil(all / lanes);
  return {
    channels,
    lanes,
    vectors: own,
    size: channels * lanes,
    perGroup,
    perBlocks: Math.ceil(perGroup / channels),
    ragged: perGroup % channels !== 0,
    padded: dState !== 4 * lanes * own,
    inside: (gpu?.subgroups?.least ?? 0) >= 16 && lanes === 4 && channels >= 4,
  };
}

/** How time is cut: `steps` for each span, or null where there is but one. */
export interface Spans {
  readonly steps: number | null;
  readonly count: number;
}

/** Below this part of the invocations that fill the GPU, one pass over time is slower than three over spans (H100). */
const tooFew = 3 / 16;

/** Shorter sequences are not worth more dispatches. */
const leastLength = 256;

/** `channels`: invocations that can work side by side without cutting time. */
export function spansOf({ sizes: { length } }: KernelCall, gpu: Gpu, invocations: number): Spans {
  const scan =
    gpu.scan ?? (invocations < tooFew * gpu.parallelism && length >= leastLength ? "spans" : "onePass");
  if (scan === "onePass") return { steps: null, count: 1 };
  // Enough to half fill the GPU; but then the spans are walked through too, so not many more than they have steps.
  const wanted = Math.max((2 * length * invocations) / gpu.parallelism, Math.sqrt(length), chunkSteps);
  const steps = 2 ** Math.floor(Math.log2(wanted));
  return { steps, count: Math.ceil(length / steps) };
}

export function spanExtent({ steps, count }: Spans): Extent {
  return { count, wgsl: steps === null ? "1u" : `((length + ${steps - 1}u) / ${steps}u)` };
}

/** Bytes of workgroup memory that a workgroup takes at most, so that several are at work on one core. */
const mostBytes = 15 * 1024;

/** Steps of a tile, whose steps take `bytes` each in workgroup memory: as many as fit, of those between kept states. */
export function tileSteps(bytes: number): number {
  let steps = chunkSteps;
  while (steps > 1 && steps * bytes > mostBytes) steps /= 2;
  return steps;
}

/** The inputs that can be copied into the work buffer, what is smallest in a call of one step first. */
export function packable(call: KernelCall): Record<string, Extent> {
  const perStep = extent(call, "batch", "length", "groups", "dState");
  return {
    D: extent(call, "dInner"),
    deltaBias: extent(call, "dInner"),
    resets: extent(call, "batch", "length"),
    B: perStep,
    C: perStep,
    A: extent(call, "dState", "dInner"),
    state: extent(call, "batch", "dState", "dInner"),
    d_next_state: extent(call, "batch", "dState", "dInner"),
  };
}

/**
 * `exponential(x)`: exp(−|x|), 0 below 2⁻¹²⁶. WGSL's exp may be off by 3 + 2|x| ulp, so it is given the rest after powers
 * of two, and those are made of their bits: ldexp took 7 % of the whole scan (H100, 8 × 512 × 1 536).
 */
const exponential = /* wgsl */ `
fn exponential(x: f32) -> f32 {
  let far = -min(abs(x), 104.0);
  let n = round(far * 1.44269504);
  let power = bitcast<f32>(u32(max(i32(n) + 127, 0)) << 23u);
  return power * exp(fma(n, 2.12194440e-4, fma(n, -0.693359375, far)));
}`;

/** `stepOf(x)`: Δ′ of x = Δ + Δbias. */
export function stepFunction({ sizes }: KernelCall): string {
  if (!sizes.softplus) return "fn stepOf(x: f32) -> f32 { return x; }";
  return /* wgsl */ `${scalar(log1p)}${exponential}
fn stepOf(x: f32) -> f32 { return select(x, 0.0, x < 0.0) + log1p(exponential(x)); }`;
}

/** `stepAndSlope(x)`: Δ′ of x = Δ + Δbias, and its derivative, from one exponential. */
export function stepAndSlope({ sizes }: KernelCall): string {
  if (!sizes.softplus) return "fn stepAndSlope(x: f32) -> vec2f { return vec2f(x, 1.0); }";
  return /* wgsl */ `${scalar(log1p)}${exponential}
fn stepAndSlope(x: f32) -> vec2f {
  let e = exponential(x);
  return vec2f(select(x, 0.0, x < 0.0) + log1p(e), select(1.0, e, x < 0.0) / (1.0 + e));
}`;
}

export const sigmoid1 = scalar(sigmoid);

/** `sigmoids(x)`: those of x and of −x, from one exponential. */
export const sigmoids = /* wgsl */ `
fn sigmoids(x: f32) -> vec2f {
  let e = exp(-abs(x));
  return select(vec2f(1.0, e), vec2f(e, 1.0), x < 0.0) / (1.0 + e);
}`;

/**
 * Declares b, span, its steps first … end, and of the invocation: channel c of the workgroup, d of all, lane s; mine: d is
 * there. `own` is `lane`, as a remainder, as s is: so Dawn sees that indices of workgroup memory need no check.
 */
export function placeText(
  { channels, lanes, size, perGroup, perBlocks, inside }: Share,
  spans: Spans,
): string {
  const { steps } = spans;
  return /* wgsl */ `
  let own = lane % ${size}u;
  let c = ${inside ? "own / 16u * 4u + own % 4u" : `own % ${channels}u`};
  let s = ${inside ? "own / 4u % 4u" : `own / ${channels}u % ${lanes}u`};
  let block = group % (groups * ${perBlocks}u);
  let row = group / (groups * ${perBlocks}u);
  let ofGroup = block / ${perBlocks}u;
  let inGroup = block % ${perBlocks}u * ${channels}u + c;
  let mine = inGroup < ${perGroup}u;
  let d = ofGroup * ${perGroup}u + min(inGroup, ${perGroup - 1}u);
  let spans = ${spanExtent(spans).wgsl};
  let b = row / spans;
  let span = row % spans;
  let first = ${steps === null ? "0u" : `span * ${steps}u`};
  let end = ${steps === null ? "length" : `min(length, first + ${steps}u)`};`;
}

/**
 * Declares the cells of an invocation, which it reads and finishes: channel cellC of the workgroup, cellD of all, every
 * lanes-th step from cellS on. Neighbours have neighbouring channels, whatever states they have.
 */
export function cellsText({ channels, lanes, perGroup, inside }: Share): string {
  if (!inside) return "  let cellC = c; let cellS = s; let cellD = d; let cellMine = mine;";
  return /* wgsl */ `  let cellC = own % ${channels}u;
  let cellS = own / ${channels}u % ${lanes}u;
  let cellInGroup = inGroup - c + cellC;
  let cellMine = cellInGroup < ${perGroup}u;
  let cellD = ofGroup * ${perGroup}u + min(cellInGroup, ${perGroup - 1}u);`;
}

/** Index i < `length` in workgroup memory, as a remainder where Dawn only sees that i < `reach`, which may be more. */
export function within(i: string, length: number, reach: number): string {
  return reach > length ? `${i} % ${length}u` : i;
}

/** Numbers at `at(n)` for the four n from `first` on, 0 where n is not a state; `turned`: in the order n ^ turn. */
export function gather(padded: boolean, first: string, at: (n: string) => string, turned = false): string {
  const one = (n: string) =>
    padded ? `select(0.0, ${at(`min(${n}, dState - 1u)`)}, ${n} < dState)` : at(`(${n})`);
  return `vec4f(${four(first, turned).map(one).join(", ")})`;
}

/** Puts the vector `value` to `at(n)` for the four n from `first` on, as far as those are states. */
export function scatter(
  padded: boolean,
  first: string,
  at: (n: string) => string,
  value: string,
  turned = false,
): string {
  const one = (n: string, k: number) => {
    const put = `${at(`(${n})`)} = ${value}[${k}];`;
    return padded ? `if (${n} < dState) { ${put} }` : put;
  };
  return four(first, turned).map(one).join(" ");
}

function four(first: string, turned: boolean): string[] {
  return [0, 1, 2, 3].map((k) => `${first} + ${turned ? `(${k}u ^ turn)` : `${k}u`}`);
}

/** Text for the rows of B and C: their place in workgroup memory, registers, the way there, and the way from there. */
export interface Rows {
  /** How a pass binds these buffers: B and C by vectors where the rows are whole ones. */
  bind(names: readonly string[]): string[];
  readonly memory: string;
  readonly declare: string;
  readonly fetch: string;
  readonly put: string;
}

/** A vector in the order n ^ turn, for each turn. */
const turns = ["xyzw", "yxwz", "zwxy", "wzyx"];

/** Vectors from the rows of one turn to those of the next: what neighbours read at once is in different banks. */
export const turnStride = (lanes: number, steps: number): number => steps * lanes + 2;

/**
 * Rows of B, of C or of both (`names`), of `steps` steps from `begin` on, padded to vectors: `fetch` takes them to registers,
 * `put` from there to rowsB and rowsC, with zeros behind the `count` that are there. `turned`: all of them four times, the
 * vectors in the orders n ^ turn.
 */
export function rowsAhead(
  work: Work,
  names: readonly ("B" | "C")[],
  { lanes, vectors, size, padded }: Share,
  steps: number,
  turned = false,
): Rows {
  const width = lanes * vectors;
  const all = steps * width;
  const rounds = Math.ceil(all / size);
  const eachName = (line: (name: "B" | "C") => string) => names.map(line).join("\n");
  const put = (name: string, r: number) => {
    const row = `select(vec4f(0.0), ${name}${r}, i${r} < count * ${width}u)`;
    if (!turned) return `rows${name}[at] = ${row};`;
    const each = turns.map(
      (order, turn) => `rows${name}[at + ${turn * turnStride(width, steps)}u] = row.${order};`,
    );
    return `{ let row = ${row}; ${each.join(" ")} }`;
  };
  const whole = names.filter((name) => !padded && !work.has(name));
  const rowAt = (name: "B" | "C", r: number) =>
    whole.includes(name)
      ? `${name}[at / 4u + i${r} % ${width}u]`
      : gather(padded, `i${r} % ${width}u * 4u`, (m) => work.at(name, `at + ${m}`));
  return {
    bind: (all) => all.map((name) => (whole.some((own) => own === name) ? `${name}: vec4f` : name)),
    memory: eachName(
      (name) => `var<workgroup> rows${name}: array<vec4f, ${turned ? 4 * turnStride(width, steps) : all}>;`,
    ),
    declare: each(
      rounds,
      (r) => `  let i${r} = own + ${r * size}u;\n${eachName((name) => `  var ${name}${r}: vec4f;`)}`,
    ),
    fetch: each(
      rounds,
      (r) => `    {
      let at = ((b * length + min(begin + i${r} / ${width}u, end - 1u)) * groups + ofGroup) * dState;
${eachName((name) => `      ${name}${r} = ${rowAt(name, r)};`)}
    }`,
    ),
    put: each(
      rounds,
      (r) => `    ${(r + 1) * size > all ? `if (i${r} < ${all}u) ` : ""}{
      let at = ${within(`i${r}`, all, (r + 1) * size)};
${eachName((name) => `      ${put(name, r)}`)}
    }`,
    ),
  };
}

/** Declares and fills `cuts`: of the `steps` from step `begin` on, `count` of which are there, those that begin a document. */
export function cutsText(call: KernelCall, steps: number): string {
  return call.has("resets") ? `var<workgroup> cuts: array<u32, ${steps}>;` : "";
}

export function loadCuts(call: KernelCall, work: Work, { size }: Share, steps: number): string {
  if (!call.has("resets")) return "";
  const rounds = Math.ceil(steps / size);
  const at = "b * length + begin + min(i, count - 1u)";
  const reset = work.has("resets") ? `${work.at("resets", at)} != 0.0` : `resets[${at}] != 0`;
  return /* wgsl */ `
    for (var r = 0u; r < ${rounds}u; r++) {
      let i = own + r * ${size}u;
      if (i < ${steps}u) { cuts[${within("i", steps, rounds * size)}] = select(0u, 1u, i < count && ${reset}); }
    }`;
}

/** Whether step t of those begins a document. */
export function isCut(call: KernelCall, t: string): string {
  return call.has("resets") ? `(cuts[${t}] != 0u)` : "false";
}

/** For each of the first `count` numbers, one line. */
export function each(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}
