import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { elementsOf, expectShape, type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface AdamWOptions {
  /** β₁, how much of the first moment stays each step. */
  readonly beta1: number;
  /** β₂, the same for the second moment. */
  readonly beta2: number;
  /** ε, added to the root of the second moment. */
  readonly epsilon: number;
  /** λ: each step takes η λ of the parameter away. */
  readonly weightDecay: number;
}

/**
 * One step of AdamW (Loshchilov & Hutter 2019, algorithm 2; as in PyTorch, decay is multiplied by the learning rate).
 *   g = c gradient               m = β₁ m + (1 − β₁) g          v = β₂ v + (1 − β₂) g²
 *   p = (1 − η λ) p − η m s₁ / (√v s₂ + ε)
 *   p: parameter, gradient, m, v: one shape     schedule (3) = η, s₁, s₂     c: clip (1), or 1 when left out
 */
export const adamwOp = defineOp<AdamWOptions>({
  name: "adamw",
  inputs: ["parameter", "gradient", "m", "v", "schedule", "clip"],
  outputs: [],
  updates: ["parameter", "m", "v"],

  shapes([parameter, gradient, m, v, schedule, clip], { beta1, beta2, epsilon, weightDecay }) {
    expectLike("gradient", gradient!, parameter!); // all but clip are given
    expectLike("m", m!, parameter!);
    expectLike("v", v!, parameter!);
    expectShape("adamw", "schedule", schedule!, { numbers: 3 });
    if (clip) expectShape("adamw", "clip", clip, { numbers: 1 });
    const rest1 = 1 - beta1; // subtracted here: in float32 the difference would be wrong in the fifth digit
    const rest2 = 1 - beta2;
    const size = elementsOf(parameter!);
    return { sizes: { size, beta1, beta2, rest1, rest2, epsilon, weightDecay }, outputs: [] };
  },

  forward(inputs, _outputs, { size, beta1, beta2, rest1, rest2, epsilon, weightDecay }) {
    const [p, gradient, m, v, schedule] = inputs as readonly Numbers[];
    const [learningRate, s1, s2] = schedule;
    const clip = inputs[5]?.[0] ?? 1;
    for (let i = 0; i < size; i++) {
      const g = clip * gradient[i];
      m[i] = beta1 * m[i] + rest1 * g;
      v[i] = beta2 * v[i] + rest2 * g * g;
      p[i] -= learningRate * (weightDecay * p[i] + (m[i] * s1) / (Math.sqrt(v[i]) * s2 + epsilon));
    }
  },
});

/**
 * Updates `parameter` and its moments in place. `schedule` holds what changes from step to step (see adamwSchedule),
 * so that a captured update is replayed after writing it; `clip` is a factor for the gradient (see clipFactor).
 */
export function adamw(
  parameter: Tensor,
  gradient: Tensor,
  m: Tensor,
  v: Tensor,
  schedule: Tensor,
  clip: Tensor | null,
  options: AdamWOptions,
): void {
  apply(adamwOp, [parameter, gradient, m, v, schedule, clip], options);
}

/** The numbers of `schedule` for step t = 1, 2, …: η, s₁ = 1/(1 − β₁ᵗ) and s₂ = 1/√(1 − β₂ᵗ). */
export function adamwSchedule(
  learningRate: number,
  t: number,
  { beta1, beta2 }: Pick<AdamWOptions, "beta1" | "beta2">,
): [number, number, number] {
  return [learningRate, 1 / (1 - beta1 ** t), 1 / Math.sqrt(1 - beta2 ** t)];
}

function expectLike(what: string, shape: Shape, parameter: Shape): void {
  if (shape.length === parameter.length && shape.every((size, i) => size === parameter[i])) return;
  throw new ShapeError(
    `adamw: ${what} must have the shape of the parameter, (${parameter.join(", ")}), got (${shape.join(", ")})`,
  );
}
