import { random } from "../math/random.ts";
import { solve } from "../math/linalg.ts";
import type { Windows } from "../data/forecasting.ts";
import type { Pick } from "./forecaster.ts";

/** Windows that are fitted at the most, drawn from all; features at the most, as their products are kept. */
const mostWindows = 20_000;
const mostFeatures = 1024;
/** λ per window: standardised features are worth less than noise below it. */
const ridge = 0.03;

/** Forecasts in standardised units, relative to the references of a batch: inputs (batch, features) → (batch, horizon). */
export type LinearForecast = (inputs: Float32Array, batch: number) => Float64Array;

/**
 * The linear model of the context that a network should beat (as NLinear of Zeng et al. 2023, arXiv 2205.13504): one
 * matrix for all targets from what the model sees of a window to the horizon, by ridge regression, with no training:
 *
 *   W = (XᵀX + λ I)⁻¹ XᵀY      X (windows, context · channels + 1), the last column ones      Y (windows, horizon)
 *
 * Windows with a gap in their horizon are left out.
 * @returns null when a window has too many numbers for it, or none is without gaps.
 */
export function fitLinearForecast(windows: Windows, seed: number): LinearForecast | null {
  const { context, horizon, targets } = windows.view;
  const { first, count } = windows.origins("train");
  const all = count * targets.length;
  const source = random(seed, 3, 0); // 0, 1 and 2 are the tasks'
  const picks = Array.from({ length: Math.min(all, mostWindows) }, (_, i): Pick => {
    const window = all > mostWindows ? source.integer(all) : i;
    return { target: Math.floor(window / count), origin: first + (window % count) };
  });
  const features = windows.batch(picks.slice(0, 1), context, 1).inputs.length + 1;
  if (features > mostFeatures) return null;
  const XtX = new Float64Array(features * features);
  const XtY = new Float64Array(features * horizon);
  let used = 0;
  for (let start = 0; start < picks.length; start += 256) {
    const some = picks.slice(start, start + 256);
    const { inputs, targets: answers } = windows.batch(some, context, 1);
    for (let b = 0; b < some.length; b++) {
      const y = answers.subarray(b * horizon, (b + 1) * horizon);
      if (y.some(Number.isNaN)) continue;
      used++;
      const x = withOne(inputs, b, features);
      for (let i = 0; i < features; i++) {
        for (let j = i; j < features; j++) XtX[i * features + j] += x[i] * x[j];
        for (let h = 0; h < horizon; h++) XtY[i * horizon + h] += x[i] * y[h];
      }
    }
  }
  if (used === 0) return null;
  for (let i = 0; i < features; i++) {
    for (let j = 0; j < i; j++) XtX[i * features + j] = XtX[j * features + i];
    XtX[i * features + i] += ridge * used;
  }
  const W = solve(XtX, XtY);
  return (inputs, batch) => {
    const said = new Float64Array(batch * horizon);
    for (let b = 0; b < batch; b++) {
      for (const [i, value] of withOne(inputs, b, features).entries()) {
        for (let h = 0; h < horizon; h++) said[b * horizon + h] += value * W[i * horizon + h];
      }
    }
    return said;
  };
}

/** Row b of inputs (batch, features − 1), and 1. */
function withOne(inputs: Float32Array, b: number, features: number): Float64Array {
  const x = new Float64Array(features).fill(1);
  x.set(inputs.subarray(b * (features - 1), (b + 1) * (features - 1)));
  return x;
}
