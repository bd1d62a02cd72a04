import { identity, matmul, solve, transpose } from "../math/linalg.ts";
import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "discretize";

/** α of the generalised bilinear transform. */
const alphas = { euler: 0, bilinear: 1 / 2, backwardEuler: 1 };

export type DenseRule = keyof typeof alphas;

/**
 * From continuous to discrete for a dense A that is trained (LSSL, Gu et al. 2021, arXiv 2110.13985, equation 3): the
 * generalised bilinear transform of math/discretize.ts, a step size for each channel.
 *
 *   M = I − αΔA        Ā = M⁻¹ (I + (1−α)ΔA)        B̄ = M⁻¹ ΔB
 *
 *   A (ssms, N, N)    B (ssms, N)       channel c has that of ⌊c ssms / channels⌋
 *   Δ (channels)
 *   Ā (channels, N, N)    B̄ (channels, N)
 */
export const discretizeOp = defineOp<{ alpha: number }>({
  name: who,
  inputs: ["A", "B", "delta"],
  outputs: ["Abar", "Bbar"],

  shapes([A, B, delta], { alpha }) {
    const { ssms, N } = sizesOf(who, "B", B!, ["ssms", "N"]); // not optional, nor are A and delta
    expectShape(who, "A", A!, { ssms, N, "N again": N });
    const { channels } = sizesOf(who, "delta", delta!, ["channels"]);
    if (N < 1) throw new ShapeError(`${who}: N must be at least 1, got ${N}`);
    if (ssms < 1 || channels % ssms !== 0) {
      throw new ShapeError(`${who}: the ssms of A must divide channels = ${channels}, got ${ssms}`);
    }
    return {
      sizes: { ssms, channels, N, alpha },
      outputs: [
        [channels, N, N],
        [channels, N],
      ],
    };
  },

  forward([A, B, delta], [Abar, Bbar], sizes) {
    const { channels, N, alpha } = sizes;
    for (let c = 0; c < channels; c++) {
      const { a, b } = systemOf(A!, B!, c, sizes); // not optional, nor is delta
      const step = delta![c];
      const I = identity(N);
      const M = a.map((x, i) => I[i] - alpha * step * x);
      const right = a.map((x, i) => I[i] + (1 - alpha) * step * x);
      Abar.set(solve(M, right), c * N * N);
      const input = solve(
        M,
        b.map((x) => step * x),
      );
      Bbar.set(input, c * N);
    }
  },

  // As M⁻¹ = (1−α) I + αĀ, nothing is solved again. With w = M⁻ᵀ dB̄ and E = M⁻ᵀ dĀ M⁻ᵀ + α w B̄ᵀ:
  //   dA = Δ E        dB = Δ w        dΔ = Σ A ⊙ E + B · w
  backward([A, B, delta], [Abar, Bbar], [dAbar, dBbar], [dA, dB, dDelta], sizes) {
    const { channels, ssms, N, alpha } = sizes;
    const I = identity(N);
    for (let c = 0; c < channels; c++) {
      const { a, b } = systemOf(A!, B!, c, sizes); // not optional, nor is delta
      const ssm = Math.floor((c * ssms) / channels);
      const step = delta![c];
      const inverse = new Float64Array(Abar.subarray(c * N * N, (c + 1) * N * N)).map(
        (x, i) => (1 - alpha) * I[i] + alpha * x,
      );
      const back = transpose(inverse, N);
      const w = matmul(back, new Float64Array(dBbar.subarray(c * N, (c + 1) * N)), N);
      const inner = matmul(new Float64Array(dAbar.subarray(c * N * N, (c + 1) * N * N)), back, N);
      const E = matmul(back, inner, N).map(
        (x, i) => x + alpha * w[Math.floor(i / N)] * Bbar[c * N + (i % N)],
      );
      for (let i = 0; i < N * N; i++) {
        dA[ssm * N * N + i] += step * E[i];
        dDelta[c] += a[i] * E[i];
      }
      for (let n = 0; n < N; n++) {
        dB[ssm * N + n] += step * w[n];
        dDelta[c] += b[n] * w[n];
      }
    }
  },
});

/** Ā (channels, N, N) and B̄ (channels, N) of A (ssms, N, N), B (ssms, N) and Δ (channels). */
export function discretize(
  A: Tensor,
  B: Tensor,
  delta: Tensor,
  rule: DenseRule = "bilinear",
): { Abar: Tensor; Bbar: Tensor } {
  const [Abar, Bbar] = apply(discretizeOp, [A, B, delta], { alpha: alphas[rule] });
  return { Abar, Bbar };
}

/** A and B of channel c, in the precision of the decompositions. */
function systemOf(
  A: Numbers,
  B: Numbers,
  c: number,
  { ssms, channels, N }: Readonly<Record<string, number>>,
): { a: Float64Array; b: Float64Array } {
  const ssm = Math.floor((c * ssms) / channels);
  return {
    a: new Float64Array(A.subarray(ssm * N * N, (ssm + 1) * N * N)),
    b: new Float64Array(B.subarray(ssm * N, (ssm + 1) * N)),
  };
}
