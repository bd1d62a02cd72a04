import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { configOf } from "../../src/models/config.ts";
import { S4, s4Fields } from "../../src/models/s4.ts";
import { S4Block } from "../../src/models/s4Block.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { FormatError } from "../../src/tensor/errors.ts";
import type { Context } from "./adapter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { download, permute, reshaped, upload } from "./layout.ts";
import { discretize } from "./s4DplrKernel.ts";

/** Our parameters: the name in the case, and the order of its axes that makes ours, where they differ. */
const official: Readonly<Record<string, { readonly name: string; readonly order?: readonly number[] }>> = {
  logAReal: { name: "layer.kernel.A_real" },
  AImag: { name: "layer.kernel.A_imag" },
  P: { name: "layer.kernel.P" },
  B: { name: "layer.kernel.B" },
  Ctilde: { name: "layer.kernel.C" },
  logDelta: { name: "layer.kernel.inv_dt" },
  D: { name: "layer.D" },
  out: { name: "output_linear.0.weight", order: [1, 0] },
  outBias: { name: "output_linear.0.bias" },
};

/** Kind `s4_block`: the block of S4 as our model has it, made from C̃, and the gradients of Σ y G. */
export async function s4BlockCase(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const [u, G] = [await golden.input("u"), await golden.input("G")]; // (batch, channels, length)
  const [, channels, length] = u.shape;
  const stored: Record<string, Values> = {};
  for (const { name } of Object.values(official)) stored[name] = await golden.input(name);
  const kernel = Object.entries(stored).filter(([name]) => name.startsWith("layer.kernel."));
  const tensors = kernel.map(([name, values]) => [
    name.slice("layer.kernel.".length),
    upload(device, values),
  ]);
  const { Ctilde } = await discretize(Object.fromEntries(tensors), length);

  const dState = 2 * stored["layer.kernel.A_real"].shape[1];
  const config = configOf("s4", s4Fields, { dState, filterLength: length });
  const source = (name: string, shape: readonly number[]) => {
    const { name: theirs, order } = official[name];
    const values = name === "Ctilde" ? Ctilde : stored[theirs];
    if (values.data.length !== shape.reduce((a, b) => a * b, 1)) {
      throw new FormatError(`${golden.name}: in.${theirs} must have the numbers of (${shape.join(", ")}).`);
    }
    return upload(device, reshaped(order ? permute(values, order) : values, shape));
  };
  const block = new S4Block(channels, new S4(config, channels, source), source);
  const input = upload(device, permute(u, [0, 2, 1]));
  const weights = upload(device, permute(G, [0, 2, 1]));

  const results: Record<string, Values> = {
    "out.y": permute(await download(block.forward(input).y), [0, 2, 1]),
    "out.C_tilde": Ctilde,
  };
  const { gradients: found } = gradients([input, ...Object.values(block.parameters)], () =>
    sum(mul(block.forward(input).y, weights)),
  );
  results["grad.u"] = permute(await download(found.get(input)!), [0, 2, 1]); // u leads to y, as does every parameter
  for (const [name, tensor] of Object.entries(block.parameters)) {
    const { name: theirs, order } = official[name];
    const gradient = await download(found.get(tensor)!);
    results[`grad.${theirs}`] = reshaped(order ? permute(gradient, order) : gradient, stored[theirs].shape);
  }
  return results;
}
