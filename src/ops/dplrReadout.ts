import { inner } from "../math/dplr.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { type Shape, ShapeError } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { eachFrequency } from "./dplrSpectrum.ts";
import { dplrSizes, halfSystem } from "./dplrSystem.ts";

const who = "dplrReadout";

/**
 * C from what S4 trains in its place, C̃ = C (I − Ā^length): the readout that the recurrence needs. Over the roots of
 * unity, (I − Ā^length)⁻¹ is the mean of (I − Ā ω)⁻¹, so C costs what the filter costs and no power of Ā is formed:
 *
 *   C = r (I − Δ/2 A)        r = 1/length Σ_ω e^(iθ/2)/2 C̃ M⁻¹        θ, M as in ops/dplrSpectrum.ts
 *
 *   Λ, P, C̃, Δ      ops/dplrSystem.ts
 *   C               (channels, n, 2)
 *
 * It has no backward: training goes through the filter.
 */
export const dplrReadoutOp = defineOp<{ length: number }>({
  name: who,
  inputs: ["lambda", "P", "Ctilde", "delta"],
  outputs: ["C"],

  shapes(inputs, { length }) {
    const [lambda, P, Ctilde, delta] = inputs as readonly Shape[]; // no input is optional
    const sizes = dplrSizes(who, [lambda, P, lambda, Ctilde, delta], "Ctilde"); // there is no B
    if (!Number.isInteger(length) || length < 1) {
      throw new ShapeError(`${who}: length must be a whole number of at least 1, got ${length}`);
    }
    return { sizes: { ...sizes, length }, outputs: [Ctilde] };
  },

  forward(inputs, [C], sizes) {
    const [lambda, P, Ctilde, delta] = inputs as readonly Numbers[];
    const system = [lambda, P, Ctilde, Ctilde, delta]; // no B is asked for
    const { channels, n, length } = sizes;
    const r = new Float64Array(channels * 2 * n);
    eachFrequency(system, sizes, (h, at, _, { y: solve, cos, sin }) => {
      const y = solve();
      const end = at % (2 * (Math.floor(length / 2) + 1)) === 0 || cos === 0; // ω is its own conjugate
      const weight = (end ? 1 : 2) / (4 * length);
      for (let i = 0; i < 2 * n; i++) {
        const re = 2 * (h * n + (i % n));
        r[re] += weight * (y[2 * i] * cos - y[2 * i + 1] * sin);
        r[re + 1] += (i < n ? weight : -weight) * (y[2 * i] * sin + y[2 * i + 1] * cos);
      }
    });
    for (let h = 0; h < channels; h++) {
      const { lambda: Lambda, P: ranks, delta: step } = halfSystem(system, sizes, h);
      const row = r.subarray(h * 2 * n, (h + 1) * 2 * n);
      const reads = ranks.map(
        (p) =>
          2 *
          inner(
            row.map((v, i) => (i % 2 === 0 ? v : -v)),
            p,
          )[0],
      );
      for (let i = 0; i < 2 * n; i += 2) {
        const at = h * 2 * n + i;
        const low = (part: number) => ranks.reduce((sum, p, k) => sum + reads[k] * p[i + part], 0);
        C[at] = row[i] - (step / 2) * (row[i] * Lambda[i] - row[i + 1] * Lambda[i + 1] - low(0));
        C[at + 1] = row[i + 1] - (step / 2) * (row[i] * Lambda[i + 1] + row[i + 1] * Lambda[i] + low(1));
      }
    }
  },
});

/** C (channels, n, 2) of C̃ = C (I − Ā^length). */
export function dplrReadout(
  lambda: Tensor,
  P: Tensor,
  Ctilde: Tensor,
  delta: Tensor,
  options: { length: number },
): Tensor {
  return apply(dplrReadoutOp, [lambda, P, Ctilde, delta], options)[0];
}
