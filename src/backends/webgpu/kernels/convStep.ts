/** An invocation has one channel of one sequence: it reads what the state remembers and moves it on by one. */
import { type Kernel, type KernelSet, onePass } from "../kernel.ts";

const size = 64;

/** Where one step of a convolution stands in a kernel: names and expressions of WGSL. */
interface Place {
  readonly type: "f32" | "vec4f";
  readonly weight: string;
  readonly bias: string | null;
  /** The channel, and how many there are. */
  readonly channel: string;
  readonly channels: string;
}

/** One step of a convolution as statements: those that read, to be put as early as may be, and the one that computes. */
export function convStepText(
  { dConv, silu }: Readonly<Record<string, number>>,
  { type, weight, bias, channel, channels }: Place,
) {
  const steps = Array.from({ length: dConv - 1 }, (_, k) => k);
  const place = (row: string, k: number) =>
    `state[(${row} * ${dConv - 1}u + ${k}u) * ${channels} + ${channel}]`;
  return {
    /** The weights, the same for all sequences: variables and their values. */
    taps: [
      ...[...steps, dConv - 1].map(
        (k) => [`tap${k}`, `${weight}[${k}u * ${channels} + ${channel}]`] as const,
      ),
      ["tapBias", bias ? `${bias}[${channel}]` : `${type}(0.0)`] as const,
    ],
    /** What the state remembers of sequence `row`; `name` tells those of several apart. */
    past: (row: string, name: string | number = "") =>
      steps.map((k) => [`past${name}_${k}`, place(row, k)] as const),
    /** `out` = φ(what is remembered and the input, weighted), and the state moved on. */
    step: (row: string, input: string, out: string, name: string | number = "") => `
  var ${out} = tapBias;
  ${steps.map((k) => `${out} = fma(tap${k}, past${name}_${k}, ${out});`).join("\n  ")}
  ${out} = fma(tap${dConv - 1}, ${input}, ${out});
  ${steps.map((k) => `${place(row, k)} = ${k < dConv - 2 ? `past${name}_${k + 1}` : input};`).join("\n  ")}
  ${silu ? `${out} = ${out} / (${type}(1.0) + exp(-${out}));` : ""}`,
  };
}

const forward: Kernel = (call) => {
  const { batch, channels } = call.sizes;
  const perRow = Math.ceil(channels / size);
  const { taps, past, step } = convStepText(call.sizes, {
    type: "f32",
    weight: "weight",
    bias: call.has("bias") ? "bias" : null,
    channel: "d",
    channels: "channels",
  });
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
  ${[...taps, ...past("b")].map(([name, value]) => `let ${name} = ${value};`).join("\n  ")}
  ${step("b", "input", "next")}
  y[b * channels + d] = next;
}`,
  });
};

export const convStep: KernelSet = { forward };
