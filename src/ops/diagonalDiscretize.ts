import { type Complex, mul } from "../math/complex.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { addModeGradients, complexAt, type Discretization, modeAt, systemSizes } from "./diagonalSystem.ts";

const who = "diagonalDiscretize";

/**
 * Diagonal systems x′ = Λ x + B u in steps of Δ: x[t] = Ā x[t−1] + B̄ u[t] (S4D, arXiv 2206.11893, section 3.2).
 *
 *   zero-order hold   Ā = exp(ΔΛ)                      B̄ = (exp(ΔΛ) − 1)/Λ B
 *   bilinear          Ā = (1 + ΔΛ/2)/(1 − ΔΛ/2)        B̄ = Δ/(1 − ΔΛ/2) B
 *
 *   Λ, B, Ā, B̄    (channels, n, 2)        complex
 *   Δ             (channels)
 */
export const diagonalDiscretizeOp = defineOp<{ discretization: Discretization }>({
  name: who,
  inputs: ["lambda", "B", "delta"],
  outputs: ["Abar", "Bbar"],

  shapes(inputs, { discretization }) {
    const [lambda, B, delta] = inputs as readonly Shape[]; // none is optional
    return { sizes: systemSizes(who, discretization, lambda, { B }, delta), outputs: [lambda, lambda] };
  },

  forward(inputs, [Abar, Bbar], sizes) {
    const [lambda, B, delta] = inputs as readonly Numbers[]; // none is optional
    for (let i = 0; i < sizes.channels * sizes.n; i++) {
      const { A, g } = modeAt(lambda, delta, sizes, i);
      Abar.set(A, 2 * i);
      Bbar.set(mul(g, complexAt(B, i)), 2 * i);
    }
  },

  backward(inputs, _outputs, [dAbar, dBbar], grads, sizes) {
    const [lambda, B, delta] = inputs as readonly Numbers[]; // none is optional
    for (let i = 0; i < sizes.channels * sizes.n; i++) {
      const F = [conjugate(complexAt(dAbar, i)), conjugate(complexAt(dBbar, i))] as const;
      addModeGradients(modeAt(lambda, delta, sizes, i), B, F, grads, sizes, i);
    }
  },
});

/** Ā and B̄ (channels, n, 2); the formulas are at `diagonalDiscretizeOp`. */
export function diagonalDiscretize(
  lambda: Tensor,
  B: Tensor,
  delta: Tensor,
  discretization: Discretization = "zoh",
): { Abar: Tensor; Bbar: Tensor } {
  const [Abar, Bbar] = apply(diagonalDiscretizeOp, [lambda, B, delta], { discretization });
  return { Abar, Bbar };
}

function conjugate([re, im]: Complex): Complex {
  return [re, -im];
}
