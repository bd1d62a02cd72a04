/**
 * S4 as a recurrence. A first pass makes each channel discrete (math/dplr.ts), once for all sequences, state by state with
 * channels side by side; then an invocation has a state (recurrence.ts). What the next step reads of the states is summed
 * when they are written, so no step knows where a chunk begins. Two dispatches a step. Parallel over batch · channels · n:
 * slow for one long sequence, which is better convolved.
 * Backward (the adjoint as in cpu/kernels/dplrScanBackward.c) runs forward once for the state before every √length steps,
 * then takes these chunks from the last to the first, all their states in scratch; there an invocation has a channel of a
 * sequence and all its states, which is slow. A last pass adds up the sequences.
 */
import { type KernelCall, type KernelSet, type Pass } from "../kernel.ts";
import { complex } from "./complexMath.ts";
import { into } from "./library.ts";
import { eachStep, inputsOf, layoutOf, parts, place, size, steps, sums } from "./recurrence.ts";

/** Pairs of a state in `discrete`: a, b, C, w₀, w₁, f₀, f₁, and Λ, B, P₀, P₁ as they were given. */
const fields = 11;

const ranks = (rank: number, text: (k: number) => string, between = "\n") =>
  Array.from({ length: rank }, (_, k) => text(k)).join(between);

/** field(i, k) of state i of `channel`; and of the channel itself, (Δ, D), M⁻¹ in two, and Δ P* d B. */
const access = /* wgsl */ `${complex}
fn field(channel: u32, i: u32, k: u32) -> vec2f { return discrete[(i * ${fields}u + k) * channels + channel]; }
fn whole(channel: u32, k: u32) -> vec2f { return discrete[(n * ${fields}u + k) * channels + channel]; }`;

/** States that an invocation has room for: one pipeline for many n. */
const roomOf = (n: number) => 2 ** Math.ceil(Math.log2(n));

function discretePass(call: KernelCall): Pass {
  const { channels, rank } = call.sizes;
  const D = call.has("D");
  const two = rank === 2;
  return {
    reads: ["lambda: vec2f", "P: vec2f", "B: vec2f", "C: vec2f", "delta", ...(D ? ["D"] : [])],
    writes: ["discrete: vec2f"],
    workgroups: Math.ceil(channels / size),
    workgroupSize: size,
    code: /* wgsl */ `${complex}
fn put(channel: u32, i: u32, k: u32, value: vec2f) { discrete[(i * ${fields}u + k) * channels + channel] = value; }
fn run(group: u32, lane: u32) {
  let c = group * ${size}u + lane;
  if (c >= channels) { return; }
  let step = delta[c];
  var input = vec2f(0.0);
  var G = vec4f(0.0);
  for (var i = 0u; i < n; i++) {
    let at = c * n + i;
    let x = 0.5 * step * lambda[at];
    let d = over(vec2f(1.0, 0.0), vec2f(1.0, 0.0) - x);
    let b = times(d, B[at]);
    let p0 = P[at];
    let d0 = times(d, p0);
    put(c, i, 0u, 2.0 * d - vec2f(1.0, 0.0));
    put(c, i, 1u, b);
    put(c, i, 2u, C[at]);
    put(c, i, 3u, d0);
    put(c, i, 5u, 4.0 * times(d, conjugate(p0)));
    put(c, i, 7u, lambda[at]);
    put(c, i, 8u, B[at]);
    put(c, i, 9u, p0);
    input.x += dot(p0, b);
    G.x += dot(p0, d0);
    ${
      two
        ? `let p1 = P[channels * n + at];
    let d1 = times(d, p1);
    put(c, i, 4u, d1);
    put(c, i, 6u, 4.0 * times(d, conjugate(p1)));
    put(c, i, 10u, p1);
    input.y += dot(p1, b);
    G += vec4f(0.0, dot(p0, d1), dot(p1, d0), dot(p1, d1));`
        : ""
    }
  }
  let M = step * G + vec4f(1.0, 0.0, 0.0, 1.0);
  let inverse = vec4f(M.w, -M.y, -M.z, M.x) / (M.x * M.w - M.y * M.z);
  let R = 0.5 * step * inverse;
  put(c, n, 0u, vec2f(step, ${D ? "D[c]" : "0.0"}));
  put(c, n, 1u, inverse.xy);
  put(c, n, 2u, inverse.zw);
  put(c, n, 3u, 2.0 * step * input);
  for (var i = 0u; i < n; i++) {
    let at = i * ${fields}u * channels + c;
    let d0 = discrete[at + 3u * channels];
    let d1 = ${two ? "discrete[at + 4u * channels]" : "vec2f(0.0)"};
    let w0 = R.x * d0 + R.z * d1;
    let w1 = R.y * d0 + R.w * d1;
    put(c, i, 3u, w0);
    ${two ? "put(c, i, 4u, w1);" : ""}
    put(c, i, 1u, step * (discrete[at + channels] - 2.0 * (input.x * w0 + input.y * w1)));
  }
}`,
  };
}

/** One step of `h` (n) from what it read. */
const advance = (rank: number, after: string) => /* wgsl */ `
      ${ranks(rank, (k) => `var sum${k} = 0.0;`)}
      for (var i = 0u; i < n; i++) {
        let z = times(field(c, i, 0u), h[i]) + x * field(c, i, 1u)${ranks(rank, (k) => ` - read${k} * field(c, i, ${3 + k}u)`, "")};
        h[i] = z;
        ${ranks(rank, (k) => `sum${k} += times(field(c, i, ${5 + k}u), z).x;`)}
        ${after}
      }
      ${ranks(rank, (k) => `read${k} = sum${k};`)}`;

const begin = (rank: number, h: string) => /* wgsl */ `
  ${ranks(rank, (k) => `var read${k} = 0.0;`)}
  for (var i = 0u; i < n; i++) {
    h[i] = ${h};
    ${ranks(rank, (k) => `read${k} += times(field(c, i, ${5 + k}u), h[i]).x;`)}
  }`;

/**
 * Through time with n invocations for a channel. What the next step reads of the states is exchanged in workgroup memory, in
 * one of two places by turns, so that a step has one barrier. Leaves y and the state at the end or, in `keep`, the states
 * before every `chunkSteps` steps.
 */
function throughTime(call: KernelCall, keep: ((mode: string, task: string) => string) | null): string {
  const { n, rank } = call.sizes;
  const layout = layoutOf(n);
  const { lanes, turns } = layout;
  const inputs = inputsOf(["u"], layout);
  const own = Array.from({ length: turns }, (_, j) => j);
  const each = (text: (j: number) => string) => own.map(text).join("\n  ");
  const put = (buffer: string) =>
    ranks(rank, (k) => {
      const terms = own.map((j) => `times(f${k}_${j}, h${j}).x`).join(" + ");
      return `exchanged[${buffer} + ${k * size}u + at_] = ${terms};`;
    });
  const read = (buffer: string) =>
    ranks(rank, (k) => {
      const terms = Array.from({ length: lanes }, (_, p) => `exchanged[from_ + ${k * size + p}u]`);
      return `{ let from_ = ${buffer} + at_ / ${lanes}u * ${lanes}u; read${k} = ${terms.join(" + ")}; }`;
    });
  const step = (i: string) => /* wgsl */ `
        let x = ${inputs.at("u", i)};
        ${keep ? `if ((t + ${i}) % chunkSteps == 0u) { ${each((j) => `if (there${j}) { ${keep(`i${j}`, "task")} = h${j}; }`)} }` : ""}
        ${each((j) => `h${j} = times(a${j}, h${j}) + x * b${j}${ranks(rank, (k) => ` - read${k} * w${k}_${j}`, "")};`)}
        ${keep ? "" : `parts[${i} * ${size + 1}u + at_] = ${own.map((j) => `dot(C${j}, h${j})`).join(" + ")};`}
        let buffer = (${i} + 1u) % 2u * ${rank * size}u;
        ${put("buffer")}
        workgroupBarrier();
        ${read("buffer")}`;
  const skip = call.has("D") ? " + whole(d, 0u).y * u[at]" : "";
  return /* wgsl */ `${access}
${inputs.memory}
${keep ? "" : parts}
var<workgroup> exchanged: array<f32, ${2 * rank * size}>;
fn run(group: u32, lane: u32) {
  ${place(layout)}
  ${inputs.declare}
  let task = b * channels + channel;
  ${each(
    (j) => `let i${j} = min(at_ % ${lanes}u + ${j * size}u, n - 1u);
  let there${j} = at_ % ${lanes}u + ${j * size}u < n && block + at_ / ${lanes}u < channels;
  let a${j} = field(channel, i${j}, 0u);
  let b${j} = field(channel, i${j}, 1u);
  ${keep ? "" : `let C${j} = select(vec2f(0.0), 2.0 * conjugate(field(channel, i${j}, 2u)), there${j});`}
  ${ranks(rank, (k) => `let w${k}_${j} = field(channel, i${j}, ${3 + k}u); let f${k}_${j} = select(vec2f(0.0), field(channel, i${j}, ${5 + k}u), there${j});`)}
  var h${j} = ${call.has("state") ? `state[task * n + i${j}]` : "vec2f(0.0)"};`,
  )}
  ${ranks(rank, (k) => `var read${k} = 0.0;`)}
  ${put("0u")}
  workgroupBarrier();
  ${read("0u")}
  ${inputs.ahead("0u")}
  for (var t = 0u; t < length; t += ${steps}u) {
    let count = min(${steps}u, length - t);
    ${inputs.put}
    workgroupBarrier();
    if (t + ${steps}u < length) { ${inputs.ahead(`t + ${steps}u`)} }
    ${eachStep(step)}
    ${keep ? "" : sums(layout, `y[at] = sum${skip};`)}
  }
  ${keep ? "" : each((j) => `if (there${j}) { next_state[task * n + i${j}] = h${j}; }`)}
}`;
}

/** Workgroups of `throughTime`. */
const workgroupsOf = ({ sizes: { batch, channels, n } }: KernelCall) =>
  batch * Math.ceil(channels / layoutOf(n).together);

export const dplrScan: KernelSet = {
  dynamic: ["batch", "length", "channels", "n"],

  forward(call) {
    const { channels, n } = call.sizes;
    return {
      passes: [
        discretePass(call),
        {
          reads: ["u", "discrete: vec2f", ...(call.has("state") ? ["state: vec2f"] : [])],
          writes: ["y", "next_state: vec2f"],
          workgroups: workgroupsOf(call),
          workgroupSize: size,
          code: throughTime(call, null),
        },
      ],
      scratch: { discrete: 2 * channels * (fields * n + 4) },
    };
  },

  backward(call) {
    const { batch, length, channels, n, rank } = call.sizes;
    const tasks = batch * channels;
    const chunkSteps = Math.ceil(Math.sqrt(length));
    const chunks = Math.ceil(length / chunkSteps);
    const state = call.has("state");
    const slopes = call.has("d_y");
    // Of a task: the states before each chunk, then those of a chunk.
    const at = (row: string) => `states[((${row}) * n + i) * batch * channels + task]`;
    const partial = (k: number) => `partials[(i * 5u + ${k}u) * batch * channels + task]`;
    const start = /* wgsl */ `
  let task = group * ${size}u + lane;
  if (task >= batch * channels) { return; }
  let c = task % channels;
  let first = (task / channels) * length * channels + c;`;
    const keep: Pass = {
      reads: ["u", "discrete: vec2f", ...(state ? ["state: vec2f"] : [])],
      writes: ["states: vec2f"],
      workgroups: workgroupsOf(call),
      workgroupSize: size,
      numbers: { chunkSteps },
      code: throughTime(
        call,
        (mode, task) => `states[((t + i) / chunkSteps * n + ${mode}) * batch * channels + ${task}]`,
      ),
    };
    const back: Pass = {
      reads: [
        "u",
        "discrete: vec2f",
        ...(slopes ? ["d_y"] : []),
        ...(call.has("d_next_state") ? ["d_next_state: vec2f"] : []),
      ],
      writes: [
        "states: vec2f",
        "partials: vec2f",
        ...(call.has("d_u") ? ["d_u"] : []),
        ...(call.has("d_state") ? ["d_state: vec2f"] : []),
      ],
      workgroups: Math.ceil(tasks / size),
      workgroupSize: size,
      numbers: { chunkSteps },
      code: /* wgsl */ `${access}
fn run(group: u32, lane: u32) {
  ${start}
  let chunks = (length + chunkSteps - 1u) / chunkSteps;
  let skip = whole(c, 0u).y;
  let step = whole(c, 0u).x;
  let inverse = vec4f(whole(c, 1u), whole(c, 2u));
  let input = whole(c, 3u);
  var h: array<vec2f, ${roomOf(n)}>;
  var g: array<vec2f, ${roomOf(n)}>;
  var skips = 0.0;
  for (var i = 0u; i < n; i++) {
    g[i] = ${call.has("d_next_state") ? "d_next_state[task * n + i]" : "vec2f(0.0)"};
    for (var k = 0u; k < 5u; k++) { partials[(i * 5u + k) * batch * channels + task] = vec2f(0.0); }
  }
  for (var chunk = chunks; chunk > 0u; chunk--) {
    let from_ = (chunk - 1u) * chunkSteps;
    let count = min(chunkSteps, length - from_);
    ${begin(rank, at("chunk - 1u"))}
    for (var s = 0u; s < count; s++) {
      for (var i = 0u; i < n; i++) { ${at("chunks + s")} = h[i]; }
      let x = u[first + (from_ + s) * channels];
      ${advance(rank, "")}
    }
    for (var s = count; s > 0u; s--) { // h is the state after step s − 1
      let place = first + (from_ + s - 1u) * channels;
      let x = u[place];
      let slope = ${slopes ? "d_y[place]" : "0.0"};
      var own = 0.0;
      var low = vec2f(0.0);
      var reads = vec2f(0.0);
      for (var i = 0u; i < n; i++) {
        let z = g[i] + 2.0 * slope * conjugate(field(c, i, 2u));
        g[i] = z;
        ${partial(2)} += 2.0 * slope * conjugate(h[i]);
        own += dot(field(c, i, 1u), z);
        let before = ${at("chunks + s - 1u")};
        ${ranks(rank, (k) => `low[${k}] += dot(field(c, i, ${3 + k}u), z); reads[${k}] += times(field(c, i, ${5 + k}u), before).x;`)}
      }
      let given = x * input + reads;
      let Pe = -0.25 * step * vec2f(dot(inverse.xy, given), dot(inverse.zw, given));
      for (var i = 0u; i < n; i++) {
        let before = ${at("chunks + s - 1u")};
        let z = times(g[i], conjugate(field(c, i, 0u)))${ranks(rank, (k) => ` - low[${k}] * conjugate(field(c, i, ${5 + k}u))`, "")};
        let mu = g[i] + z;
        let e = h[i] + before;
        g[i] = z;
        h[i] = before;
        ${partial(0)} += times(mu, conjugate(e));
        ${partial(1)} += x * mu;
        ${ranks(rank, (k) => `${partial(3 + k)} += Pe[${k}] * mu - 2.0 * low[${k}] * e;`)}
      }
      ${call.has("d_u") ? `d_u[place] ${into(call.adds("d_u"))} own${call.has("D") ? " + skip * slope" : ""};` : ""}
      skips += x * slope;
    }
  }
  partials[n * 5u * batch * channels + task] = vec2f(skips);
  ${call.has("d_state") ? `for (var i = 0u; i < n; i++) { d_state[task * n + i] ${into(call.adds("d_state"))} g[i]; }` : ""}
}`,
    };
    const names = ["d_lambda", "d_P", "d_B", "d_C"].filter((name) => call.has(name));
    const give = (name: string, value: string, index = "c * n + i") =>
      call.has(name) ? `${name}[${index}] ${into(call.adds(name))} ${value};` : "";
    const sums: Pass = {
      reads: ["discrete: vec2f", "partials: vec2f"],
      writes: [
        ...names.map((name) => `${name}: vec2f`),
        ...["d_delta", "d_D"].filter((name) => call.has(name)),
      ],
      workgroups: Math.ceil(channels / size),
      workgroupSize: size,
      code: /* wgsl */ `${access}
fn total(i: u32, k: u32, c: u32) -> vec2f {
  var sum = vec2f(0.0);
  for (var b = 0u; b < batch; b++) { sum += partials[((i * 5u + k) * batch + b) * channels + c]; }
  return sum;
}
fn run(group: u32, lane: u32) {
  let c = group * ${size}u + lane;
  if (c >= channels) { return; }
  let step = whole(c, 0u).x;
  var steps = 0.0;
  for (var i = 0u; i < n; i++) {
    let gradient = 0.25 * step * total(i, 0u, c);
    let input = 0.5 * step * total(i, 1u, c);
    ${give("d_lambda", "gradient")}
    ${give("d_B", "input")}
    ${give("d_C", "total(i, 2u, c)")}
    steps += dot(field(c, i, 7u), gradient) + dot(field(c, i, 8u), input);
    ${ranks(
      rank,
      (k) => `let P${k} = total(i, ${3 + k}u, c);
    steps += 0.5 * dot(field(c, i, ${9 + k}u), P${k});
    ${give("d_P", `P${k}`, `${k}u * channels * n + c * n + i`)}`,
    )}
  }
  ${call.has("d_delta") ? `d_delta[c] ${into(call.adds("d_delta"))} steps / step;` : ""}
  ${call.has("d_D") ? `d_D[c] ${into(call.adds("d_D"))} total(n, 0u, c).x;` : ""}
}`,
    };
    return {
      passes: [discretePass(call), keep, back, ...(sums.writes.length > 0 ? [sums] : [])],
      scratch: {
        discrete: 2 * channels * (fields * n + 4),
        states: 2 * tasks * n * (chunks + chunkSteps),
        partials: 2 * tasks * (5 * n + 1),
      },
    };
  },
};
