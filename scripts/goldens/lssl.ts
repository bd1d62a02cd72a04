import { z } from "zod";
import { exp, gelu } from "../../src/ops/activation.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { discretize, type DenseRule } from "../../src/ops/discretize.ts";
import { fftConv } from "../../src/ops/fftConv.ts";
import { krylovFilter } from "../../src/ops/krylovFilter.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { download, inverse, permute, uploadInputs } from "./layout.ts";

const rules: Readonly<Record<number, DenseRule>> = { 0: "euler", 0.5: "bilinear", 1: "backwardEuler" };

const config = z.object({ L: z.int(), alpha: z.literal([0, 0.5, 1]) });

/** Kind `lssl`: filters, output and gradients of an LSSL whose channels share one A. */
export async function lssl(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { L: length, alpha } = configOf(golden, config);
  const discretization = rules[alpha];
  const inputs = await uploadInputs(golden, device, ["A", "B", "C", "D", "log_dt", "u", "G"], orderOf);
  const { A, B, C, D, log_dt: logDelta, u, G } = inputs;
  const forward = () => {
    const delta = exp(logDelta);
    const filter = krylovFilter(withAxis(A), withAxis(B), C, delta, { length, discretization });
    return { filter, y: convolved(u, filter, D) };
  };
  const { filter, y } = forward();
  const { Abar, Bbar } = discretize(withAxis(A), withAxis(B), exp(logDelta), discretization);
  const results: Record<string, Values> = {
    "out.dA": await download(Abar),
    "out.dB": await download(Bbar),
    "out.K": await download(filter),
    "out.y": permute(await download(y), [1, 0, 2, 3]),
  };
  return { ...results, ...(await gradientsOf(inputs, orderOf, () => sum(mul(forward().y, G)))) };
}

const layerConfig = z.object({ L: z.int() });

/** Kind `lssl_layer`: the same with a bias E, GELU and a linear map of all channels and readouts. */
export async function lsslLayer(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { L: length } = configOf(golden, layerConfig);
  const required = ["C", "D", "E", "log_dt", "transition.a", "transition.b", "u", "G"];
  const inputs = await uploadInputs(golden, device, required, layerOrderOf);
  const { C, D, E, log_dt: logDelta, u, G } = inputs;
  const forward = () => {
    const [A, B] = [withAxis(inputs["transition.a"]), withAxis(inputs["transition.b"])];
    const filter = krylovFilter(A, B, C, exp(logDelta), { length });
    const mixed = gelu(add(convolved(u, filter, D), E));
    const [batch, , channels, readouts] = mixed.shape;
    const flat = reshape(mixed, [batch, length, channels * readouts]);
    return add(matmul(flat, inputs["output_linear.weight"]), inputs["output_linear.bias"]);
  };
  return {
    "out.y": await download(forward()),
    ...(await gradientsOf(inputs, layerOrderOf, () => sum(mul(forward(), G)))),
  };
}

/** K̄ ∗ u + D u for each readout: u (batch, length, channels), K̄ (channels, readouts, length) → (…, channels, readouts). */
function convolved(u: Tensor, filter: Tensor, D: Tensor): Tensor {
  const [batch, length, channels] = u.shape;
  const [, readouts] = filter.shape;
  const repeated = add(
    u.device.zeros([batch, length, channels, readouts]),
    reshape(u, [batch, length, channels, 1]),
  );
  const flat = reshape(repeated, [batch, length, channels * readouts]);
  const y = fftConv(flat, reshape(filter, [channels * readouts, length]), {
    D: reshape(D, [channels * readouts]),
  });
  return reshape(y, [batch, length, channels, readouts]);
}

async function gradientsOf(
  inputs: Readonly<Record<string, Tensor>>,
  order: (name: string, rank: number) => number[],
  loss: () => Tensor,
): Promise<Record<string, Values>> {
  const wanted = Object.entries(inputs).filter(([name]) => name !== "G");
  const { gradients: found } = gradients(
    wanted.map(([, tensor]) => tensor),
    loss,
  );
  const results: Record<string, Values> = {};
  for (const [name, tensor] of wanted) {
    const gradient = found.get(tensor);
    if (!gradient) continue;
    const values = await download(gradient);
    results[`grad.${name}`] = permute(values, inverse(order(name, values.shape.length)));
  }
  return results;
}

function withAxis(x: Tensor): Tensor {
  return reshape(x, [1, ...x.shape]);
}

/** The case has time before batch: u (length, batch, channels), G (length, batch, channels, readouts). */
function orderOf(name: string, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return name === "u" || name === "G" ? [1, 0, ...axes.slice(2)] : axes;
}

/** This case has our axes, but a weight is (out, in). */
function layerOrderOf(name: string, rank: number): number[] {
  return name === "output_linear.weight" ? [1, 0] : Array.from({ length: rank }, (_, axis) => axis);
}
