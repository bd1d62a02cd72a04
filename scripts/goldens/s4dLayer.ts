import { exp, gelu, neg, sigmoid } from "../../src/ops/activation.ts";
import { add, addScalar, mul } from "../../src/ops/arithmetic.ts";
import { diagonalFilter } from "../../src/ops/diagonalFilter.ts";
import { fftConv } from "../../src/ops/fftConv.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { split, transpose } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Context } from "./adapter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { pairs } from "./complexTensors.ts";
import { download, inverse, permute, uploadInputs } from "./layout.ts";

const weight = "output_linear.0.weight";
const bias = "output_linear.0.bias";

/**
 * Kind `s4d_layer`: the S4D layer of models/s4/s4d.py, filter, convolution, GELU, and a linear map with GLU, and the
 * gradients of Σ y G.
 */
export async function s4dLayer(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const names = [
    "u",
    "D",
    "kernel.C",
    "kernel.log_dt",
    "kernel.log_A_real",
    "kernel.A_imag",
    weight,
    bias,
    "G",
  ];
  const inputs = await uploadInputs(golden, device, names, orderOf);
  const { u, D, "kernel.C": C, "kernel.log_A_real": decay, "kernel.A_imag": frequency } = inputs;
  const [, length, channels] = u.shape;
  const layer = () => {
    const lambda = pairs(neg(exp(decay)), frequency); // +i here
    const ones = pairs(addScalar(device.zeros(decay.shape), 1), device.zeros(decay.shape));
    const filter = diagonalFilter(lambda, ones, C, exp(inputs["kernel.log_dt"]), { length });
    const mixed = matmul(
      gelu(fftConv(u, filter, { D })),
      transpose(reshape(inputs[weight], [2 * channels, channels])),
    );
    const [value, gate] = split(add(mixed, inputs[bias]), [channels, channels]);
    return mul(value, sigmoid(gate));
  };

  const results: Record<string, Values> = { "out.y": theirs("y", await download(layer())) };
  const wanted = Object.entries(inputs).filter(([name]) => name !== "G");
  const { gradients: found } = gradients(
    wanted.map(([, tensor]) => tensor),
    () => sum(mul(layer(), inputs.G)),
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
