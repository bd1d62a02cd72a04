import { type Kernel, type KernelCall, type KernelSet, onePass, type Pass } from "../kernel.ts";
import { into } from "./library.ts";
import { type Count, reduction } from "./reduction.ts";

/** Invocations of a workgroup. */
const size = 256;

/** Rows whose gradients of gain and bias a workgroup adds up: as many as leave 256 workgroups to fill the GPU. */
function rowsPerGroup(rows: number): number {
  return Math.min(64, Math.max(4, 2 ** Math.floor(Math.log2(rows / 256))));
}

/**
 * RMS normalization, or, centered, layer normalization.
 *
 * A row belongs to enough invocations that each keeps two vectors of it in registers (numbers, where dModel is
 * no multiple of four), and a workgroup has as many rows as it then has room for. Backward, it goes through 4 to 64 rows,
 * adds up what they give to the gradients of gain and bias, and leaves partial sums for a second pass. Traffic: forward 2,
 * backward 3 floats an element. Past 8192 channels the registers no longer hold a row: correct, but slow.
 */
export function norm(centered: boolean): KernelSet {
  return {
    floats: ["epsilon"],
    dynamic: ["rows", "dModel", "epsilon"],
    forward: forwardOf(centered),
    backward: backwardOf(centered),
    // u², its mean, u r and the product with gain; centered, also the mean, u − μ and the sum with bias.
    naiveBytes: ({ rows, dModel }) => 4 * (centered ? 12 : 7) * rows * dModel,
  };
}

/** How rows are dealt out. */
interface Deal {
  readonly type: "vec4f" | "f32";
  /** Elements of a row, in WGSL too; invocations of a row, rows of a workgroup at a time. */
  readonly width: Count;
  readonly lanes: number;
  readonly perGroup: number;
  view(name: string): string;
  /** WGSL once for each element of the invocation: the k-th, at `j` in its row. */
  each(text: (k: number) => string): string;
  /** The same without `j`, joined: statements, or the terms of a sum. */
  all(text: (k: number) => string, between?: string): string;
  readonly functions: string;
}

function dealOf(dModel: number): Deal {
  const type = dModel % 4 === 0 ? "vec4f" : "f32";
  const width =
    type === "vec4f" ? { code: "(dModel / 4u)", value: dModel / 4 } : { code: "dModel", value: dModel };
  const lanes = Math.min(size, 2 ** Math.max(0, Math.ceil(Math.log2(width.value / 2))));
  // Rows of similar width have one pipeline.
  const kept = Array.from({ length: Math.ceil(width.value / lanes) }, (_, k) => k);
  const line = (k: number, text: string) =>
    `{ let j = part + ${k * lanes}u; if (j < ${width.code}) { ${text} } }`;
  return {
    type,
    width,
    lanes,
    perGroup: size / lanes,
    view: (name) => `${name}: ${type}`,
    each: (text) => kept.map((k) => line(k, text(k))).join("\n  "),
    all: (text, between = " ") => kept.map(text).join(between),
    functions: /* wgsl */ `
var<workgroup> shares: array<vec2f, ${size}>;
fn sumOfRow(own: vec2f, lane: u32) -> vec2f {
  shares[lane] = own;
  workgroupBarrier();
  for (var half = ${lanes >> 1}u; half > 0u; half >>= 1u) {
    if (lane % ${lanes}u < half) { shares[lane] += shares[lane + half]; }
    workgroupBarrier();
  }
  let total = shares[lane - lane % ${lanes}u];
  workgroupBarrier();
  return total;
}
fn across(x: ${type}) -> f32 { return ${type === "f32" ? "x" : "(x.x + x.y) + (x.z + x.w)"}; }`,
  };
}

/**
 * WGSL: reads the row at `at` and leaves its elements, centered or not, in x0, x1, …, and the factor r. All must run it. What
 * is centered is centered on the row's first element before: the mean of what is small has its digits where the row is far
 * from 0, though WGSL's division may be off by 2.5 ulp.
 */
function statistics(centered: boolean, { type, each, all }: Deal, read = "u[at + j]"): string {
  const mean = /* wgsl */ `let mean = sumOfRow(vec2f(across(${all((k) => `x${k}`, " + ")}), 0.0), lane).x / f32(dModel);
  ${each((k) => `x${k} -= mean;`)}`;
  return /* wgsl */ `${all((k) => `var x${k} = ${type}(0.0);`)}
  ${centered ? `let pivot = u[at]${type === "f32" ? "" : ".x"};` : ""}
  ${each((k) => `x${k} = ${read}${centered ? " - pivot" : ""};`)}
  ${centered ? mean : ""}
  let squares = sumOfRow(vec2f(across(${all((k) => `x${k} * x${k}`, " + ")}), 0.0), lane).x;
  let r = 1.0 / sqrt(squares / f32(dModel) + epsilon);`;
}

function forwardOf(centered: boolean): Kernel {
  return ({ sizes: { rows, dModel } }) => onePass(forwardPass(rows, dModel, centered));
}

/** The norm of the sum of `parts` and a residual, and that sum, which is kept. */
export function normOfSum(rows: number, dModel: number, parts: number): Pass {
  return forwardPass(rows, dModel, false, parts);
}

function forwardPass(rows: number, dModel: number, centered: boolean, parts = 0): Pass {
  const deal = dealOf(dModel);
  const { type, width, lanes, perGroup, view, each } = deal;
  const summed = parts > 0;
  return {
    reads: [...(summed ? ["partials", "residual"] : ["u"]), "gain", ...(centered ? ["bias"] : [])].map(view),
    writes: [...(summed ? ["kept"] : []), "y"].map(view),
    workgroups: Math.ceil(rows / perGroup),
    workgroupSize: size,
    code: /* wgsl */ `${deal.functions}
${
  summed
    ? `fn input(i: u32) -> ${type} {
  var sum = partials[i];
  for (var part = 1u; part < ${parts}u; part++) { sum += partials[i + part * rows * ${width.code}]; }
  return sum + residual[i];
}`
    : ""
}
fn run(group: u32, lane: u32) {
  let part = lane % ${lanes}u;
  let row = group * ${perGroup}u + lane / ${lanes}u;
  let at = min(row, rows - 1u) * ${width.code};
  ${statistics(centered, deal, summed ? "input(at + j)" : "u[at + j]")}
  if (row >= rows) { return; }
  ${summed ? each((k) => `kept[at + j] = x${k};`) : ""}
  ${each((k) => `y[at + j] = gain[j] * x${k} * r${centered ? " + bias[j]" : ""};`)}
}`,
  };
}

function backwardOf(centered: boolean): Kernel {
  return (call) => {
    const { rows, dModel } = call.sizes;
    const deal = dealOf(dModel);
    const { width, view } = deal;
    const share = Math.max(deal.perGroup, rowsPerGroup(rows));
    const groups = Math.ceil(rows / share);
    const sums = ["gain", "bias"].filter((name) => call.has(`d_${name}`));
    const rowsPass: Pass = {
      reads: [view("u"), view("d_y"), ...(call.has("d_u") ? [view("gain")] : [])],
      writes: [
        ...(call.has("d_u") ? [view("d_u")] : []),
        ...(sums.length > 0 ? [`shared_: ${pairOf(deal, sums)}`] : []),
      ],
      workgroups: groups,
      workgroupSize: size,
      code: rowsCode(call, centered, deal, sums, share),
    };
    if (sums.length === 0) return { passes: [rowsPass] };
    const type = pairOf(deal, sums);
    const { passes, scratch } = reduction({
      type,
      words: (deal.type === "vec4f" ? 4 : 1) * sums.length,
      identity: `${type}()`,
      reads: [`shared_: ${type}`],
      term: `fn term(output: u32, i: u32) -> ${type} { return shared_[i * ${width.code} + output]; }`,
      outputs: width,
      terms: { code: `((rows + ${share - 1}u) / ${share}u)`, value: groups },
      along: { outputs: width.value },
      writes: sums.map((name) => view(`d_${name}`)),
      finish: sums
        .map((name, i) => {
          const total = sums.length === 1 ? "total" : `total[${i}]`;
          return `d_${name}[output] ${into(call.adds(`d_${name}`))} ${total};`;
        })
        .join(" "),
    });
    return { passes: [rowsPass, ...passes], scratch: { ...scratch, shared_: groups * dModel * sums.length } };
  };
}

/** What is added up of rows: an element of one gradient, or of both. */
function pairOf({ type }: Deal, sums: readonly string[]): string {
  return sums.length === 1 ? type : type === "f32" ? "vec2f" : "mat2x4f";
}

function rowsCode(
  call: KernelCall,
  centered: boolean,
  deal: Deal,
  sums: readonly string[],
  share: number,
): string {
  const { type, width, lanes, perGroup, each, all } = deal;
  const pair = pairOf(deal, sums);
  const wantsInput = call.has("d_u");
  const total = (text: (k: number) => string) => `across(${all(text, " + ")})`;
  const parts = (k: number) => {
    const values = sums.map((name) => (name === "gain" ? `d${k} * x${k}` : `d${k}`));
    return sums.length === 1 ? values[0] : `${pair}(${values.join(", ")})`;
  };
  // What the workgroup's rows give to one place of the gradients meets in workgroup memory, place after place.
  const meet = all(
    (k) => /* wgsl */ `meeting[lane] = sum${k};
  workgroupBarrier();
  if (lane < ${lanes}u && lane + ${k * lanes}u < ${width.code}) {
    var total = meeting[lane];
    for (var other = lane + ${lanes}u; other < ${size}u; other += ${lanes}u) { total = total + meeting[other]; }
    shared_[group * ${width.code} + lane + ${k * lanes}u] = total;
  }
  workgroupBarrier();`,
    "\n  ",
  );
  const input = /* wgsl */ `
    let pull = sumOfRow(vec2f(${centered ? total((k) => `g${k}`) : "0.0"}, ${total((k) => `g${k} * x${k}`)}), lane) / f32(dModel);
    if (row < rows) {
      ${each((k) => `d_u[at + j] ${into(call.adds("d_u"))} r * (g${k} - pull.x - x${k} * pull.y);`)}
    }`;
  return /* wgsl */ `${deal.functions}
${sums.length > 0 ? `var<workgroup> meeting: array<${pair}, ${size}>;` : ""}
fn run(group: u32, lane: u32) {
  let part = lane % ${lanes}u;
  ${sums.length > 0 ? all((k) => `var sum${k} = ${pair}();`) : ""}
  for (var turn = 0u; turn < ${share / perGroup}u; turn++) {
    let row = group * ${share}u + turn * ${perGroup}u + lane / ${lanes}u;
    let at = min(row, rows - 1u) * ${width.code};
    ${statistics(centered, deal)}
    ${all((k) => `x${k} *= r; var d${k} = ${type}(0.0);`)}
    if (row < rows) {
      ${each((k) => `d${k} = d_y[at + j];`)}
    }
    ${sums.length > 0 ? all((k) => `sum${k} = sum${k} + ${parts(k)};`) : ""}
    ${wantsInput ? `${all((k) => `var g${k} = ${type}(0.0);`)} ${each((k) => `g${k} = gain[j] * d${k};`)} ${input}` : ""}
  }
  ${sums.length > 0 ? meet : ""}
}`;
}
