/** An invocation has one channel of one sequence: it reads what the state remembers and moves it on by one. */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";

const size = 64;

/** Where one step of a convolution stands in a kernel: names and expressions of WGSL. */
interface Place {
  readonly type: "f32" | "vec4f";
  readonly weight: string;
  /** The first value of the sum. */
  readonly start: string;
  /** Sequence, channel, and how many channels there are. */
  readonly row: string;
  readonly channel: string;
  readonly channels: string;
  /** What comes in, and where the result goes. */
  readonly input: string;
  readonly y: string;
}

/** Statements: y = φ(start + Σₖ weight[k] of what `state` remembers and of the input), and the state moved on. */
export function convStepText(
  { dConv, silu }: Readonly<Record<string, number>>,
  { type, weight, start, row, channel, channels, input, y }: Place,
): string {
  return /* wgsl */ `var v = ${start};
  for (var k = 0u; k < ${dConv - 1}u; k++) {
    let place = (${row} * ${dConv - 1}u + k) * ${channels} + ${channel};
    v = fma(${weight}[k * ${channels} + ${channel}], state[place], v);
    if (k < ${dConv - 2}u) { state[place] = state[place + ${channels}]; } else { state[place] = ${input}; }
  }
  v = fma(${weight}[${dConv - 1}u * ${channels} + ${channel}], ${input}, v);
  ${y} = ${silu ? `v / (${type}(1.0) + exp(-v))` : "v"};`;
}

const forward: Kernel = (call) => {
  const { batch, channels } = call.sizes;
  const perRow = Math.ceil(channels / size);
  return onePass({
    reads: ["u", "weight", ...(call.has("bias") ? ["bias"] : [])],
    writes: ["state", "y"],
    workgroups: batch * perRow,
    workgroupSize: size,
    code: /* wgsl */ `
fn run(group: u32, lane: u32) {
  let b = group / ${perRow}u;
  let d = (group % ${perRow}u) * ${size}u + lane;
  if (d >= channels) { return; }
  let input = u[b * channels + d];
  ${convStepText(call.sizes, {
    type: "f32",
    weight: "weight",
    start: call.has("bias") ? "bias[d]" : "0.0",
    row: "b",
    channel: "d",
    channels: "channels",
    input: "input",
    y: "y[b * channels + d]",
  })}
}`,
  });
};

export const convStep: KernelSet = { forward };
