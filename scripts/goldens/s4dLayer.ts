import { S4Block } from "../../src/models/s4Block.ts";
import { configOf } from "../../src/models/config.ts";
import { S4D, s4dFields } from "../../src/models/s4d.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { transpose } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { download, inverse, permute, uploadInputs } from "./layout.ts";

/** The official name of each of our parameters. */
const official: Readonly<Record<string, string>> = {
  logAReal: "kernel.log_A_real",
  AImag: "kernel.A_imag",
  C: "kernel.C",
  logDelta: "kernel.log_dt",
  D: "D",
  out: "output_linear.0.weight",
  outBias: "output_linear.0.bias",
};

/** Kind `s4d_layer`: the block of models/s4/s4d.py, which is our S4Block around S4D, and the gradients of Σ y G. */
export async function s4dLayer(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const names = ["u", "G", ...Object.values(official)];
  const inputs = await uploadInputs(golden, device, names, orderOf);
  const [channels, n] = inputs["kernel.C"].shape;
  const layer = (u: Tensor) => {
    const source = (name: string) => {
      const given = inputs[official[name]];
      return name === "out" ? transpose(reshape(given, [2 * channels, channels])) : given; // official weights are (out, in)
    };
    const config = configOf("s4d", s4dFields, { dState: 2 * n });
    return new S4Block(channels, new S4D(config, channels, source), source).forward(u).y;
  };
  const results: Record<string, Values> = { "out.y": theirs("y", await download(layer(inputs.u))) };
  const wanted = Object.entries(inputs).filter(([name]) => name !== "G");
  const { gradients: found } = gradients(
    wanted.map(([, tensor]) => tensor),
    () => sum(mul(layer(inputs.u), inputs.G)),
  );
  for (const [name, tensor] of wanted) {
    const gradient = found.get(tensor);
    if (gradient) results[`grad.${name}`] = theirs(name, await download(gradient));
  }
  return results;
}

/** Which axis of the case each of ours is: signals have channels before time, everything else is as it is. */
function orderOf(name: string, rank: number): number[] {
  return ["u", "y", "G"].includes(name) ? [0, 2, 1] : Array.from({ length: rank }, (_, axis) => axis);
}

function theirs(name: string, values: Values): Values {
  return permute(values, inverse(orderOf(name, values.shape.length)));
}
