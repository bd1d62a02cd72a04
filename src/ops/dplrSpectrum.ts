import { conjugate } from "../math/complex.ts";
import { inner, solveDplr } from "../math/dplr.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp, type Sizes } from "../tensor/op.ts";
import { type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { dplrSizes, halfSystem, type HalfSystem, wholeSystem } from "./dplrSystem.ts";

const who = "dplrSpectrum";

/**
 * The spectrum of S4's filter: its truncated generating function at the roots of unity (Gu et al. 2021, algorithm 1).
 * With the bilinear rule and C̃ = C (I − Ā^length), the filter K_l = C Ā^l B̄ has
 *
 *   K̂(ω) = Σ_{l < length} K_l ω^l = C̃ (I − Ā ω)⁻¹ B̄ = 2/(1+ω) C̃ (2/Δ (1−ω)/(1+ω) I − A)⁻¹ B        ω = e^(−iθ)
 *
 * (lemma C.3). At ω = −1 that is infinity times zero, so both sides are multiplied with (1+ω) = 2 cos(θ/2) e^(−iθ/2):
 *
 *   K̂ = Δ/2 e^(iθ/2) C̃ M⁻¹ B        M = i sin(θ/2) I − cos(θ/2) Δ/2 A = E + κ P P*
 *   E = i sin(θ/2) − cos(θ/2) Δ/2 Λ        κ = cos(θ/2) Δ/2
 *
 * finite everywhere, in O(n) for each frequency by Cauchy sums Σ_n v_n w_n / E_n and Woodbury's identity.
 *
 *   Λ, P, B, C̃, Δ      ops/dplrSystem.ts
 *   K̂                  (channels, ⌊length/2⌋ + 1, 2)      θ = 2πj/length; the others are conjugates, since K is real
 */
export const dplrSpectrumOp = defineOp<{ length: number }>({
  name: who,
  inputs: ["lambda", "P", "B", "Ctilde", "delta"],
  outputs: ["spectrum"],

  shapes(inputs, { length }) {
    const sizes = dplrSizes(who, inputs as readonly Shape[], "Ctilde"); // no input is optional
    if (!Number.isInteger(length) || length < 1) {
      throw new ShapeError(`${who}: length must be a whole number of at least 1, got ${length}`);
    }
    return { sizes: { ...sizes, length }, outputs: [[sizes.channels, Math.floor(length / 2) + 1, 2]] };
  },

  forward(inputs, [spectrum], sizes) {
    eachFrequency(inputs as readonly Numbers[], sizes, (_, at, { C, delta }, { x, cos, sin }) => {
      const [re, im] = inner(conjugate(C), x());
      spectrum[at] += (delta / 2) * (re * cos - im * sin);
      spectrum[at + 1] += (delta / 2) * (re * sin + im * cos);
    });
  },

  // With x = M⁻¹ B, y = M⁻ᵀ C̃ and F = Δ/2 e^(iθ/2) times the conjugate of dK̂, the loss changes by the real part of
  //   F x·dC̃ + F y·dB + F κ y·dA x + F i sin(θ/2) y·x dΔ/Δ        κ A = i sin(θ/2) − M: hence what Δ gets
  // for both of each pair. A gradient is (d/dRe, d/dIm): the conjugate of the factor, for dP* the factor itself.
  backward(inputs, _outputs, [dSpectrum], [dLambda, dP, dB, dC, dDelta], sizes) {
    const { channels, n, rank } = sizes;
    eachFrequency(
      inputs as readonly Numbers[],
      sizes,
      (h, at, { P, delta }, { x: solveX, y: solveY, cos, sin }) => {
        const [x, y] = [solveX(), solveY()];
        const [gr, gi] = [(delta / 2) * dSpectrum[at], (-delta / 2) * dSpectrum[at + 1]];
        const [Fr, Fi] = [gr * cos - gi * sin, gr * sin + gi * cos];
        const kappa = (cos * delta) / 2;
        const atRank = P.map((_, r) => (r * channels + h) * 2 * n);
        const readsOfP = P.map((p) => [inner(p, x), inner(conjugate(p), y)] as const); // P* x, and y P
        const [yxr, yxi] = inner(conjugate(y), x);
        dDelta[h] -= (sin * (Fr * yxi + Fi * yxr)) / delta;
        for (let i = 0; i < 2 * n; i++) {
          const [xr, xi, yr, yi] = [x[2 * i], x[2 * i + 1], y[2 * i], y[2 * i + 1]];
          const sign = i < n ? 1 : -1; // the second of a pair gives its conjugate to the first
          const re = 2 * (h * n + (i % n));
          const im = re + 1;
          const [fxr, fxi] = [Fr * xr - Fi * xi, Fr * xi + Fi * xr];
          const [fyr, fyi] = [Fr * yr - Fi * yi, Fr * yi + Fi * yr];
          dC[re] += fxr;
          dC[im] -= sign * fxi;
          dB[re] += fyr;
          dB[im] -= sign * fyi;
          dLambda[re] += kappa * (fyr * xr - fyi * xi);
          dLambda[im] -= sign * kappa * (fyr * xi + fyi * xr);
          for (let r = 0; r < rank; r++) {
            const [[pr, pi], [qr, qi]] = readsOfP[r];
            dP[atRank[r] + 2 * (i % n)] -= kappa * (fyr * pr - fyi * pi + fxr * qr - fxi * qi);
            dP[atRank[r] + 2 * (i % n) + 1] += sign * kappa * (fyr * pi + fyi * pr - fxr * qi - fxi * qr);
          }
        }
      },
    );
  },
});

/** K̂ (channels, ⌊length/2⌋ + 1, 2): what `inverseRealFft` makes the filter of. */
export function dplrSpectrum(
  lambda: Tensor,
  P: Tensor,
  B: Tensor,
  Ctilde: Tensor,
  delta: Tensor,
  options: { length: number },
): Tensor {
  return apply(dplrSpectrumOp, [lambda, P, B, Ctilde, delta], options)[0];
}

/** cos(θ/2), sin(θ/2), and what M is solved for, computed when asked. */
interface Frequency {
  readonly cos: number;
  readonly sin: number;
  /** M⁻¹ B. */
  x(): Float64Array;
  /** M⁻ᵀ C̃. */
  y(): Float64Array;
}

/** Calls `visit` for each frequency of each channel h, with where its K̂ is. */
export function eachFrequency(
  inputs: readonly Numbers[],
  sizes: Sizes,
  visit: (h: number, at: number, system: HalfSystem, frequency: Frequency) => void,
): void {
  const { channels, length } = sizes;
  const count = Math.floor(length / 2) + 1;
  for (let h = 0; h < channels; h++) {
    const system = wholeSystem(halfSystem(inputs, sizes, h));
    const { lambda, P, B, C, delta } = system;
    for (let j = 0; j < count; j++) {
      const sin = Math.sin((Math.PI * j) / length);
      const cos = Math.sin((Math.PI * (length - 2 * j)) / (2 * length)); // exactly 0 at ω = −1
      const kappa = (cos * delta) / 2;
      const E = lambda.map((v, i) => (i % 2 === 0 ? 0 : sin) - kappa * v);
      visit(h, 2 * (h * count + j), system, {
        cos,
        sin,
        x: () => solveDplr(E, P, kappa, B),
        y: () => solveDplr(E, P.map(conjugate), kappa, C),
      });
    }
  }
}
