import { z } from "zod";
import { mul } from "../../src/ops/arithmetic.ts";
import { causalConv1d } from "../../src/ops/causalConv1d.ts";
import { sum } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { at, download, permute, stack, upload, uploadInputs } from "./layout.ts";

const config = z.object({ activation: z.enum(["silu", "swish"]).nullable() });

/** Kind `causal_conv1d`: a convolution, the gradients of Σ out G, and further steps on x1 from the final state. */
export async function causalConv1dCase(
  golden: GoldenCase,
  { device }: Context,
): Promise<Record<string, Values>> {
  const silu = configOf(golden, config).activation !== null;
  const inputs = await uploadInputs(golden, device, ["x", "weight", "G"], (_, rank) => swapLast(rank));
  const { x, weight, bias, initial_states: before, G } = inputs;
  const convolve = () => causalConv1d(x, weight, { bias, state: before, silu });

  const { y, state } = convolve();
  const results: Record<string, Values> = {
    "out.out": theirs(await download(y)),
    "out.final_states": theirs(await download(state)),
  };

  const x1 = await golden.optionalInput("x1"); // (batch, dInner, steps)
  if (x1) {
    const steps: Values[] = [];
    let carried = state;
    for (let t = 0; t < x1.shape[2]; t++) {
      const { shape, data } = at(permute(x1, [2, 0, 1]), t);
      const next = upload(device, { shape: [shape[0], 1, shape[1]], data });
      const step = causalConv1d(next, weight, { bias, state: carried, silu });
      carried = step.state;
      const [batch, , channels] = step.y.shape;
      steps.push({ ...(await download(step.y)), shape: [batch, channels] });
    }
    results["out.y_update"] = permute(stack(steps), [1, 2, 0]);
    results["out.state_after"] = theirs(await download(carried));
  }

  const wanted = Object.entries(inputs).filter(([name]) => name !== "G" && name !== "x1");
  const { gradients: found } = gradients(
    wanted.map(([, tensor]) => tensor),
    () => sum(mul(convolve().y, G)),
  );
  for (const [name, tensor] of wanted) {
    const gradient = found.get(tensor);
    if (gradient) results[`grad.${name}`] = theirs(await download(gradient));
  }
  return results;
}

/** Which axis of the case each of ours is, and back: the last two, (channels, time or taps), the other way round. */
function swapLast(rank: number): number[] {
  return rank === 3 ? [0, 2, 1] : rank === 2 ? [1, 0] : [0];
}

function theirs(values: Values): Values {
  return permute(values, swapLast(values.shape.length));
}
