import { UsageError } from "../tensor/errors.ts";

/** The learning rate of step 1, 2, … */
export type Schedule = (step: number) => number;

export const scheduleNames = ["constant", "cosine"] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface ScheduleOptions {
  readonly name: ScheduleName;
  /** The highest rate. */
  readonly learningRate: number;
  /** Steps over which the rate rises linearly from 0 to the highest. */
  readonly warmup: number;
  /** Steps at the highest rate before the cosine begins. Default 0. */
  readonly hold?: number;
  /** Step at which the cosine has come down to `floor`. */
  readonly steps: number;
  /** The lowest rate of the cosine, as a fraction of the highest. Default 0.1. */
  readonly floor?: number;
}

/** Linear warm-up, then constant or half a cosine down to the floor (Loshchilov & Hutter 2017). */
export function schedule(options: ScheduleOptions): Schedule {
  const { name, learningRate, warmup, steps, hold = 0, floor = 0.1 } = options;
  if (!(learningRate > 0))
    throw new UsageError(`train: the learning rate must be positive, got ${learningRate}.`);
  if (!(warmup >= 0)) throw new UsageError(`train: the warm-up must be at least 0 steps, got ${warmup}.`);
  return (step) => {
    if (step <= warmup) return (learningRate * step) / warmup;
    const start = warmup + hold;
    if (name === "constant" || step <= start) return learningRate;
    const progress = Math.min(1, (step - start) / Math.max(1, steps - start));
    return learningRate * (floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2);
  };
}
