/**
 * The bilinear transform of a dense A. Forward a workgroup has a channel: elimination with partial pivoting, above and
 * below, of [I − αΔA | I + (1−α)ΔA | ΔB] in doubles of two floats (doubles.ts), since I − αΔA of a HiPPO matrix of N states
 * has entries up to Δ N²; the matrix lies in scratch, 4 N² floats a channel, and goes through the cache N times. Parallel
 * over channels, but for the N² of a matrix. Backward two products in float with M⁻¹ = (1−α) I + αĀ, an invocation a number.
 */
import type { KernelSet, Pass } from "../kernel.ts";
import { doubles } from "./doubles.ts";
import { into, sumOfGroup } from "./library.ts";

const threads = 256;
const size = 64;

export const discretize: KernelSet = {
  floats: ["alpha"],
  dynamic: ["ssms", "channels", "alpha", "N"],

  forward({ sizes: { channels, N } }) {
    const width = 2 * N + 1;
    return {
      passes: [
        {
          reads: ["A", "B", "delta"],
          writes: ["M: vec2f", "Abar", "Bbar"],
          workgroups: channels,
          workgroupSize: threads,
          code: /* wgsl */ `${doubles("channels >> 31u")}
fn run(c: u32, lane: u32) {
  let width = 2u * N + 1u;
  let own = c * N * width;
  let ssm = c * ssms / channels;
  let step = delta[c];
  for (var at = lane; at < N * width; at += ${threads}u) {
    let i = at / width;
    let j = at % width;
    let ofB = j == 2u * N;
    let square = j < N;
    let column = select(j - N, j, square);
    let product = twoProduct(step, select(A[(ssm * N + i) * N + min(column, N - 1u)], B[ssm * N + i], ofB));
    let factor = select(select(1.0 - alpha, -alpha, square), 1.0, ofB);
    M[own + at] = plusDouble(vec2f(select(0.0, 1.0, (column == i) & !ofB), 0.0), factor * product);
  }
  for (var k = 0u; k < N; k++) {
    storageBarrier();
    var pivot = k;
    var largest = abs(M[own + k * width + k].x);
    for (var i = k + 1u; i < N; i++) {
      let next = abs(M[own + i * width + k].x);
      pivot = select(pivot, i, next > largest);
      largest = select(largest, next, next > largest);
    }
    storageBarrier();
    for (var j = k + lane; j < width; j += ${threads}u) {
      let swapped = M[own + k * width + j];
      M[own + k * width + j] = M[own + pivot * width + j];
      M[own + pivot * width + j] = swapped;
    }
    storageBarrier();
    let inverse = inverseDouble(M[own + k * width + k]);
    let left = width - k - 1u;
    for (var at = lane; at < N * left; at += ${threads}u) {
      let i = at / left;
      let j = k + 1u + at % left;
      let factor = timesDouble(M[own + i * width + k], inverse);
      let less = timesDouble(factor, M[own + k * width + j]);
      let old = M[own + i * width + j];
      let new_ = plusDouble(old, -less);
      M[own + i * width + j] = select(new_, old, i == k);
    }
  }
  storageBarrier();
  for (var at = lane; at < N * (N + 1u); at += ${threads}u) {
    let i = at / (N + 1u);
    let j = at % (N + 1u);
    let x = timesDouble(M[own + i * width + N + j], inverseDouble(M[own + i * width + i])).x;
    if (j < N) { Abar[(c * N + i) * N + j] = x; } else { Bbar[c * N + i] = x; }
  }
}`,
        },
      ],
      scratch: { M: 2 * channels * N * width },
    };
  },

  backward(call) {
    const { ssms, channels, N } = call.sizes;
    const [ofA, ofB] = [call.has("d_Abar"), call.has("d_Bbar")];
    const entry = /* wgsl */ `
fn inverseAt(c: u32, i: u32, j: u32) -> f32 {
  return alpha * Abar[(c * N + i) * N + j] + select(0.0, 1.0 - alpha, i == j);
}`;
    const index = (count: string) => /* wgsl */ `
  let at = group * ${size}u + lane;
  if (at >= ${count}) { return; }`;
    const inner: Pass = {
      reads: ["Abar", ...(ofA ? ["d_Abar"] : []), ...(ofB ? ["d_Bbar"] : [])],
      writes: ["inner", "w"],
      workgroups: Math.ceil((channels * N * N) / size),
      workgroupSize: size,
      code: /* wgsl */ `${entry}
fn run(group: u32, lane: u32) {
  ${index("channels * N * N")}
  let c = at / (N * N);
  let i = (at / N) % N;
  let j = at % N;
  var sum = 0.0;
  ${ofA ? "for (var k = 0u; k < N; k++) { sum += d_Abar[(c * N + i) * N + k] * inverseAt(c, j, k); }" : ""}
  inner[at] = sum;
  if (i == 0u) {
    sum = 0.0;
    ${ofB ? "for (var k = 0u; k < N; k++) { sum += d_Bbar[c * N + k] * inverseAt(c, k, j); }" : ""}
    w[c * N + j] = sum;
  }
}`,
    };
    const outer: Pass = {
      reads: ["Abar", "Bbar", "inner", "w"],
      writes: ["E"],
      workgroups: Math.ceil((channels * N * N) / size),
      workgroupSize: size,
      code: /* wgsl */ `${entry}
fn run(group: u32, lane: u32) {
  ${index("channels * N * N")}
  let c = at / (N * N);
  let i = (at / N) % N;
  let j = at % N;
  var sum = alpha * w[c * N + i] * Bbar[c * N + j];
  for (var k = 0u; k < N; k++) { sum += inverseAt(c, k, i) * inner[(c * N + k) * N + j]; }
  E[at] = sum;
}`,
    };
    const overChannels = (name: string, of: string, entries: string, count: number): Pass => ({
      reads: ["delta", of],
      writes: [name],
      workgroups: Math.ceil((ssms * count) / size),
      workgroupSize: size,
      code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  ${index(`ssms * ${entries}`)}
  let each = channels / ssms;
  var sum = 0.0;
  for (var c = at / (${entries}) * each; c < (at / (${entries}) + 1u) * each; c++) { sum += delta[c] * ${of}[c * ${entries} + at % (${entries})]; }
  ${name}[at] ${into(call.adds(name))} sum;
}`,
    });
    const steps: Pass = {
      reads: ["A", "B", "E", "w"],
      writes: ["d_delta"],
      workgroups: channels,
      workgroupSize: size,
      code: /* wgsl */ `${sumOfGroup("f32", size)}
fn run(c: u32, lane: u32) {
  let ssm = c * ssms / channels;
  var sum = 0.0;
  for (var i = lane; i < N * N; i += ${size}u) { sum += A[ssm * N * N + i] * E[c * N * N + i]; }
  for (var i = lane; i < N; i += ${size}u) { sum += B[ssm * N + i] * w[c * N + i]; }
  let total = sumOfGroup(sum, lane);
  if (lane == 0u) { d_delta[c] ${into(call.adds("d_delta"))} total; }
}`,
    };
    return {
      passes: [
        inner,
        outer,
        ...(call.has("d_A") ? [overChannels("d_A", "E", "N * N", N * N)] : []),
        ...(call.has("d_B") ? [overChannels("d_B", "w", "N", N)] : []),
        ...(call.has("d_delta") ? [steps] : []),
      ],
      scratch: { inner: channels * N * N, E: channels * N * N, w: channels * N },
    };
  },
};
