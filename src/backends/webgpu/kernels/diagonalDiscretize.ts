/**
 * Discretization of diagonal systems. Forward an invocation has a mode; backward a workgroup has a channel, whose modes
 * add up to the gradient of Δ. Traffic: Λ, B, Ā, B̄ once, with their gradients: small against everything that uses them.
 */
import { type KernelSet, onePass } from "../kernel.ts";
import { into, sumOfGroup } from "./library.ts";
import { modeOf } from "./modes.ts";

const size = 64;

export const diagonalDiscretize: KernelSet = {
  dynamic: ["channels", "n"],

  forward: ({ sizes: { channels, n, bilinear } }) =>
    onePass({
      reads: ["lambda: vec2f", "B: vec2f", "delta"],
      writes: ["Abar: vec2f", "Bbar: vec2f"],
      workgroups: Math.ceil((channels * n) / size),
      workgroupSize: size,
      code: /* wgsl */ `${modeOf(bilinear)}
fn run(group: u32, lane: u32) {
  let i = group * ${size}u + lane;
  if (i >= channels * n) { return; }
  let m = modeOf(lambda[i], delta[i / n]);
  Abar[i] = m.A;
  Bbar[i] = times(m.g, B[i]);
}`,
    }),

  backward(call) {
    const { channels, bilinear } = call.sizes;
    const given = ["d_Abar", "d_Bbar"].filter((name) => call.has(name));
    const adjoint = (name: string) => (call.has(name) ? `conjugate(${name}[i])` : "vec2f(0.0)");
    const give = (name: string, value: string) =>
      call.has(name) ? `${name}[i] ${into(call.adds(name))} conjugate(${value});` : "";
    const wantsDelta = call.has("d_delta");
    return onePass({
      reads: ["lambda: vec2f", "B: vec2f", "delta", ...given.map((name) => `${name}: vec2f`)],
      writes: [
        ...["d_lambda", "d_B"].filter((name) => call.has(name)).map((name) => `${name}: vec2f`),
        ...(wantsDelta ? ["d_delta"] : []),
      ],
      workgroups: channels,
      workgroupSize: size,
      code: /* wgsl */ `${modeOf(bilinear)}${wantsDelta ? sumOfGroup("f32", size) : ""}
fn run(channel: u32, lane: u32) {
  var total = 0.0;
  for (var k = lane; k < n; k += ${size}u) {
    let i = channel * n + k;
    let m = modeOf(lambda[i], delta[channel]);
    let FA = ${adjoint("d_Abar")};
    let FB = ${adjoint("d_Bbar")};
    let Fg = times(FB, B[i]);
    ${give("d_B", "times(FB, m.g)")}
    ${give("d_lambda", "times(FA, m.AbyLambda) + times(Fg, m.gByLambda)")}
    total += (times(FA, m.AbyDelta) + times(Fg, m.gByDelta)).x;
  }
  ${
    wantsDelta
      ? `let sum = sumOfGroup(total, lane);
  if (lane == 0u) { d_delta[channel] ${into(call.adds("d_delta"))} sum; }`
      : ""
  }
}`,
    });
  },
};
