import { z } from "zod";
import { adamw, adamwSchedule } from "../../src/ops/adamw.ts";
import { clipFactor, sumOfSquares } from "../../src/ops/gradientNorm.ts";
import { FormatError } from "../../src/tensor/errors.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { at, download, stack, upload } from "./layout.ts";

const config = z.object({
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  weight_decay: z.number(),
  no_decay_params: z.array(z.int()).default([]),
  max_norm: z.number().nullable(),
});

/** Kind `adamw`: some steps of AdamW on parameters p<i> with given gradients g<i>, clipped by their global norm. */
export async function adamwSteps(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { betas, eps, weight_decay, no_decay_params, max_norm } = configOf(golden, config);
  const [beta1, beta2] = betas;
  const rates = (await golden.input("lrs")).data; // one a step
  const count = golden.inputs.filter((name) => /^p\d+$/.test(name)).length;
  const parameters = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const p = upload(device, await golden.input(`p${i}`));
      return {
        p,
        gradients: await golden.input(`g${i}`),
        m: device.zeros(p.shape),
        v: device.zeros(p.shape),
        weightDecay: no_decay_params.includes(i) ? 0 : weight_decay,
        history: [] as Values[],
      };
    }),
  );
  const norms: Values[] = [];
  for (let t = 1; t <= rates.length; t++) {
    const gradients = parameters.map(({ gradients }) => upload(device, at(gradients, t - 1)));
    const squares = gradients.reduce<Tensor | null>((sum, gradient) => sumOfSquares(gradient, sum), null);
    if (squares === null)
      throw new FormatError(`${golden.name}: a case of kind adamw must have in.p0, got none.`);
    const { factor, norm } = clipFactor(squares, { maxNorm: max_norm ?? Infinity });
    norms.push(await download(norm));
    const schedule = device.tensor(adamwSchedule(rates[t - 1], t, { beta1, beta2 }));
    for (const [i, { p, m, v, weightDecay, history }] of parameters.entries()) {
      adamw(p, gradients[i], m, v, schedule, factor, { beta1, beta2, epsilon: eps, weightDecay });
      history.push(await download(p));
    }
  }
  const results: Record<string, Values> = { "out.total_norm": { ...stack(norms), shape: [rates.length] } };
  for (const [i, { m, v, history }] of parameters.entries()) {
    results[`out.p${i}`] = stack(history);
    results[`out.m${i}`] = await download(m);
    results[`out.v${i}`] = await download(v);
  }
  return results;
}
