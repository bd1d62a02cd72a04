import { z } from "zod";
import { Trainer } from "../../src/train/trainer.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { at } from "./layout.ts";
import { loadMamba, nextTokens, toOfficial } from "./official.ts";

const config = z.object({
  lr: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  max_norm: z.number().nullable(),
});

/** Kind `mamba_train`: the first steps of training a language model, every parameter with weight decay. */
export async function mambaTrain(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { lr, betas, eps, weight_decay, max_norm } = configOf(golden, config);
  const model = await loadMamba(golden, device);
  const trainer = new Trainer(model, {
    beta1: betas[0],
    beta2: betas[1],
    epsilon: eps,
    weightDecay: weight_decay,
    maxNorm: max_norm ?? Infinity,
    decays: () => true,
  });
  const ids = await golden.input("input_ids"); // (steps, batch, length)
  const [steps, batch, length] = ids.shape;
  const losses: number[] = [];
  const norms: number[] = [];
  for (let t = 0; t < steps; t++) {
    const tokens = at(ids, t);
    const data = { batch, length, tokens: Int32Array.from(tokens.data), targets: nextTokens(tokens) };
    const { loss, gradientNorm } = await trainer.step([data], lr);
    losses.push(loss);
    norms.push(gradientNorm);
  }
  const numbers = (values: number[]): Values => ({
    shape: [values.length],
    data: device.float === "f32" ? Float32Array.from(values) : Float64Array.from(values),
  });
  const results: Record<string, Values> = { "out.loss": numbers(losses), "out.grad_norm": numbers(norms) };
  for (const [name, values] of await toOfficial(model.config, model.parameters)) {
    results[`out.final.${name}`] = values;
  }
  trainer.free();
  return results;
}
