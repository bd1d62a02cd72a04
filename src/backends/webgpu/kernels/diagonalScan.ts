/**
 * The recurrence of diagonal systems. An invocation has a mode and carries its state through time in registers; the modes
 * of a channel lie side by side in a workgroup of 64, several channels where they are few, and 64 modes after another where
 * they are many. Sixteen steps at a time: each invocation leaves what it adds to y in workgroup memory, then sums over
 * modes are taken in a fixed order that knows neither chunk nor batch. Traffic: u, y, the system and the states once.
 * Backward runs forward once for the state before every sixteen steps, then takes these from the last to the first with
 * their states in workgroup memory; sums over sequences are a last pass. It keeps batch · channels · n · length / 8 floats.
 * Parallel over batch · channels · n: slow for one long sequence, which is better convolved.
 */
import { type KernelCall, type KernelSet, onePass, type Pass } from "../kernel.ts";
import { complex } from "./complexMath.ts";
import { into } from "./library.ts";
import { eachStep, inputsOf, type Layout, layoutOf, parts, place, size, steps, sums } from "./recurrence.ts";

const modeOfTurn = ({ lanes }: Layout, turn: number) => /* wgsl */ `
    let k = ${turn * size}u + lane % ${lanes}u;
    let there = (k < n) & (block + lane / ${lanes}u < channels);
    let mode = channel * n + min(k, n - 1u);
    let own = b * channels * n + mode;`;

/** The text of each time that a workgroup takes 64 modes. */
const eachTurn = ({ turns }: Layout, body: (turn: number) => string) =>
  Array.from({ length: turns }, (_, turn) => `{ ${body(turn)} }`).join("\n");

export const diagonalScan: KernelSet = {
  dynamic: ["batch", "length", "channels", "n"],

  forward(call) {
    const { batch, channels, n } = call.sizes;
    const layout = layoutOf(n);
    const state = call.has("state");
    const inputs = inputsOf(["u"], layout);
    const skip = call.has("D") ? "D[d] * u[at]" : "0.0";
    return onePass({
      reads: [
        "u",
        "Abar: vec2f",
        "Bbar: vec2f",
        "C: vec2f",
        ...(call.has("D") ? ["D"] : []),
        ...(state ? ["state: vec2f"] : []),
      ],
      writes: ["y", "next_state: vec2f"],
      workgroups: batch * Math.ceil(channels / layout.together),
      workgroupSize: size,
      code: /* wgsl */ `${complex}${parts}
${inputs.memory}
fn run(group: u32, lane: u32) {
  ${place(layout)}
  ${inputs.declare}
  ${eachTurn(
    layout,
    (turn) => `
    ${modeOfTurn(layout, turn)}
    let A = Abar[mode];
    let B = Bbar[mode];
    let read = select(vec2f(0.0), 2.0 * C[mode], there);
    var h = ${state ? "state[own]" : "vec2f(0.0)"};
    ${inputs.ahead("0u")}
    for (var t = 0u; t < length; t += ${steps}u) {
      let count = min(${steps}u, length - t);
      ${inputs.put}
      workgroupBarrier();
      if (t + ${steps}u < length) { ${inputs.ahead(`t + ${steps}u`)} }
      ${eachStep(
        (i) => `
        h = ${inputs.at("u", i)} * B + times(A, h);
        parts[${i} * ${size + 1}u + at_] = select(0.0, read.x * h.x - read.y * h.y, there);`,
      )}
      ${sums(layout, turn === 0 ? `y[at] = ${skip} + sum;` : "y[at] += sum;")}
    }
    if (there) { next_state[own] = h; }`,
  )}
}`,
    });
  },

  backward(call) {
    const { batch, length, channels, n } = call.sizes;
    const layout = layoutOf(n);
    const workgroups = batch * Math.ceil(channels / layout.together);
    const chunks = Math.ceil(length / steps);
    const modes = channels * n;
    const starts = workgroups * layout.turns * chunks * size;
    const partials = 3 * batch * modes;
    const slopes = call.has("d_y");
    const there = inputsOf(["u"], layout);
    const back = inputsOf(slopes ? ["u", "d_y"] : ["u"], layout);
    const start = (turn: number) =>
      /* wgsl */ `kept[((group * ${layout.turns}u + ${turn}u) * chunks + t / ${steps}u) * ${size}u + lane]`;
    const passes: Pass[] = [
      packPass(call),
      {
        reads: ["u", "system: vec2f", ...(call.has("state") ? ["state: vec2f"] : [])],
        writes: ["kept: vec2f"],
        workgroups,
        workgroupSize: size,
        code: /* wgsl */ `${complex}
${there.memory}
fn run(group: u32, lane: u32) {
  let chunks = (length + ${steps - 1}u) / ${steps}u;
  ${place(layout)}
  ${there.declare}
  ${eachTurn(
    layout,
    (turn) => `
    ${modeOfTurn(layout, turn)}
    let A = system[mode];
    let B = system[channels * n + mode];
    var h = ${call.has("state") ? "state[own]" : "vec2f(0.0)"};
    ${there.ahead("0u")}
    for (var t = 0u; t < length; t += ${steps}u) {
      let count = min(${steps}u, length - t);
      workgroupBarrier();
      ${there.put}
      workgroupBarrier();
      if (t + ${steps}u < length) { ${there.ahead(`t + ${steps}u`)} }
      ${start(turn)} = h;
      ${eachStep((i) => `h = ${there.at("u", i)} * B + times(A, h);`)}
    }
    _ = there;
    _ = own;`,
  )}
}`,
      },
      {
        reads: [
          "u",
          "system: vec2f",
          ...["d_y", "d_next_state"]
            .filter((name) => call.has(name))
            .map((name) => (name === "d_y" ? name : `${name}: vec2f`)),
        ],
        writes: [
          "kept: vec2f",
          ...(call.has("d_u") ? ["d_u"] : []),
          ...(call.has("d_state") ? ["d_state: vec2f"] : []),
        ],
        workgroups,
        workgroupSize: size,
        code: /* wgsl */ `${complex}${call.has("d_u") ? parts : ""}
var<workgroup> states: array<vec2f, ${steps * size}>;
${back.memory}
fn run(group: u32, lane: u32) {
  let chunks = (length + ${steps - 1}u) / ${steps}u;
  let base = ((batch * ((channels + ${layout.together - 1}u) / ${layout.together}u)) * ${layout.turns}u * chunks) * ${size}u;
  ${place(layout)}
  ${back.declare}
  ${eachTurn(
    layout,
    (turn) => `
    ${modeOfTurn(layout, turn)}
    let A = system[mode];
    let B = system[channels * n + mode];
    let read = 2.0 * system[2u * channels * n + mode];
    var Q = ${call.has("d_next_state") ? "conjugate(d_next_state[own])" : "vec2f(0.0)"};
    var FA = vec2f(0.0);
    var FB = vec2f(0.0);
    var FC = vec2f(0.0);
    var skip = 0.0;
    ${back.ahead(`(chunks - 1u) * ${steps}u`)}
    for (var chunk = chunks; chunk > 0u; chunk--) {
      let t = (chunk - 1u) * ${steps}u;
      let count = min(${steps}u, length - t);
      workgroupBarrier();
      ${back.put}
      workgroupBarrier();
      if (chunk > 1u) { ${back.ahead(`t - ${steps}u`)} }
      var h = ${start(turn)};
      ${eachStep(
        (i) => `
        states[${i} * ${size}u + at_] = h;
        h = ${back.at("u", i)} * B + times(A, h);`,
      )}
      ${eachStep(
        (i) => `
        let x = ${back.at("u", i)};
        let slope = ${slopes ? back.at("d_y", i) : "0.0"};
        let before = states[${i} * ${size}u + at_];
        Q = slope * read + Q;
        FC = 2.0 * slope * h + FC;
        FB = x * Q + FB;
        FA += times(Q, before);
        skip = x * slope + skip;
        ${call.has("d_u") ? `parts[${i} * ${size + 1}u + at_] = select(0.0, Q.x * B.x - Q.y * B.y, there);` : ""}
        Q = times(Q, A);
        h = before;`,
        true,
      )}
      ${
        call.has("d_u")
          ? sums(
              layout,
              turn === 0
                ? `d_u[at] ${into(call.adds("d_u"))} sum${call.has("D") && slopes ? " + system[3u * channels * n + d].x * d_y[at]" : ""};`
                : "d_u[at] += sum;",
            )
          : ""
      }
    }
    if (there) {
      ${call.has("d_state") ? `d_state[own] ${into(call.adds("d_state"))} conjugate(Q);` : ""}
      kept[base + 3u * own] = conjugate(FA);
      kept[base + 3u * own + 1u] = conjugate(FB);
      kept[base + 3u * own + 2u] = conjugate(FC);
      if (k == 0u) { kept[base + 3u * batch * channels * n + b * channels + channel] = vec2f(skip); }
    }`,
  )}
}`,
      },
    ];
    const wanted = ["d_Abar", "d_Bbar", "d_C", "d_D"].filter((name) => call.has(name));
    const give = (name: string, k: number) =>
      call.has(name)
        ? `{ var sum = vec2f(0.0);
  for (var b = 0u; b < batch; b++) { sum += kept[base + 3u * (b * channels * n + i) + ${k}u]; }
  ${name}[i] ${into(call.adds(name))} sum; }`
        : "";
    if (wanted.length > 0) {
      passes.push({
        reads: ["kept: vec2f"],
        writes: wanted.map((name) => (name === "d_D" ? name : `${name}: vec2f`)),
        workgroups: Math.ceil(modes / size),
        workgroupSize: size,
        code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= channels * n) { return; }
  let chunks = (length + ${steps - 1}u) / ${steps}u;
  let base = ((batch * ((channels + ${layout.together - 1}u) / ${layout.together}u)) * ${layout.turns}u * chunks) * ${size}u;
  ${give("d_Abar", 0)}
  ${give("d_Bbar", 1)}
  ${give("d_C", 2)}
  ${
    call.has("d_D")
      ? `if (i < channels) {
    var sum = 0.0;
    for (var b = 0u; b < batch; b++) { sum += kept[base + 3u * batch * channels * n + b * channels + i].x; }
    d_D[i] ${into(call.adds("d_D"))} sum;
  }`
      : ""
  }
}`,
      });
    }
    return {
      passes,
      scratch: { system: 2 * (3 * modes + channels), kept: 2 * (starts + partials + batch * channels) },
    };
  },
};

/** The system in one buffer, since a pass binds no more than eight: Ā, B̄, C, and D as pairs. */
function packPass(call: KernelCall): Pass {
  const { channels, n } = call.sizes;
  const D = call.has("D");
  return {
    reads: ["Abar: vec2f", "Bbar: vec2f", "C: vec2f", ...(D ? ["D"] : [])],
    writes: ["system: vec2f"],
    workgroups: Math.ceil((channels * n) / size),
    workgroupSize: size,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  let modes = channels * n;
  if (i >= modes) { return; }
  system[i] = Abar[i];
  system[modes + i] = Bbar[i];
  system[2u * modes + i] = C[i];
  ${D ? "if (i < channels) { system[3u * modes + i] = vec2f(D[i]); }" : ""}
}`,
  };
}
