import { UsageError } from "../tensor/errors.ts";
import { type ConfigOf, real } from "./config.ts";
import type { Draw } from "./layers.ts";

/** Where fresh models begin with their step sizes Δ: log-uniform in a range. A channel remembers about 1/Δ steps. */
export const deltaFields = {
  deltaMin: real("the smallest step size Δ that a fresh model begins with", 0.001),
  deltaMax: real("the largest", 0.1),
};

type DeltaConfig = ConfigOf<typeof deltaFields>;

/** @throws UsageError for a range that holds no step sizes. */
export function checkDelta(who: string, { deltaMin, deltaMax }: DeltaConfig): void {
  if (deltaMin > 0 && deltaMin <= deltaMax) return;
  throw new UsageError(
    `${who}: deltaMin must be above 0 and at most deltaMax, got ${deltaMin} and ${deltaMax}.`,
  );
}

/** Draws Δ. */
export function deltaDraw(config: DeltaConfig): Draw {
  const draw = logDeltaDraw(config);
  return (random, i) => Math.exp(draw(random, i));
}

/** Draws log Δ: the form in which S4, S4D and LSSL train it. */
export function logDeltaDraw({ deltaMin, deltaMax }: DeltaConfig): Draw {
  const low = Math.log(deltaMin);
  const high = Math.log(deltaMax);
  return (random) => low + random.uniform() * (high - low);
}
