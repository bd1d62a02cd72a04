import { UsageError } from "../tensor/errors.ts";
import type { Model } from "./backbone.ts";
import { s4AtRate, type S4Config } from "./s4.ts";

/**
 * Multiplies the step sizes of a model that trains log Δ (S4, S4D, LSSL) by `rate`: it then reads signals sampled at
 * 1/rate of what it was trained on (arXiv 2111.00396, section 4.3: "sampling resolution change").
 * @throws UsageError for a model whose Δ is not a parameter of its own.
 */
export async function scaleStepSizes({ config, parameters }: Model, rate: number): Promise<void> {
  const suffix = "logDelta";
  const logDeltas = [...parameters].filter(([name]) => name.endsWith(`.${suffix}`));
  if (logDeltas.length === 0) {
    throw new UsageError(`${config.model}: has no step sizes of its own to change, they follow the input.`);
  }
  for (const [name, tensor] of logDeltas) {
    const layer = name.slice(0, -suffix.length);
    const own = [...parameters].filter(([other]) => other.startsWith(layer));
    const named = Object.fromEntries(own.map(([other, value]) => [other.slice(layer.length), value]));
    if (named.Ctilde) await s4AtRate(named, config as unknown as S4Config, rate);
    tensor.write((await tensor.read()).map((logDelta) => logDelta + Math.log(rate)));
  }
}
