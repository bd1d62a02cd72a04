import type { Numbers } from "../tensor/backend.ts";
import { apply, defineOp } from "../tensor/op.ts";
import { expectShape, type Shape, ShapeError, sizesOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

const who = "denseScan";

/**
 * The recurrence of LSSL (arXiv 2110.13985, section 3): a dense Ā for each channel, O(N²) a step.
 *
 *   x[t] = Ā x[t−1] + B̄ u[t]        x[−1] = state
 *   y[t] = C x[t]
 *
 *   u (batch, length, channels)    Ā (channels, N, N)    B̄ (channels, N)
 *   C (channels, readouts, N)      what is read of the one state: LSSL's M
 *   y (batch, length, channels, readouts)
 *   state, x[L−1] (batch, channels, N)
 */
export const denseScanOp = defineOp<null>({
  name: who,
  inputs: ["u", "Abar", "Bbar", "C", "state"],
  outputs: ["y", "state"],

  shapes(inputs) {
    const [u, Abar, Bbar, C] = inputs as readonly Shape[]; // these are not optional
    const { batch, length, channels } = sizesOf(who, "u", u, ["batch", "length", "channels"]);
    const { N } = sizesOf(who, "Bbar", Bbar, ["channels", "N"]);
    const { readouts } = sizesOf(who, "C", C, ["channels", "readouts", "N"]);
    expectShape(who, "Bbar", Bbar, { channels, N });
    expectShape(who, "Abar", Abar, { channels, N, "N again": N });
    expectShape(who, "C", C, { channels, readouts, N });
    if (inputs[4]) expectShape(who, "state", inputs[4], { batch, channels, N });
    for (const [name, size] of Object.entries({ length, N, readouts })) {
      if (size < 1) throw new ShapeError(`${who}: ${name} must be at least 1, got ${size}`);
    }
    return {
      sizes: { batch, length, channels, N, readouts },
      outputs: [
        [batch, length, channels, readouts],
        [batch, channels, N],
      ],
    };
  },

  // x is kept in the output state, in its precision: so a sequence cut into chunks gives the same bits.
  forward(inputs, [y, x], sizes) {
    const [u, Abar, Bbar, C] = inputs as readonly Numbers[]; // these are not optional
    const { length, channels, N, readouts } = sizes;
    const next = new Float64Array(N);
    eachChannel(sizes, (b, c) => {
      const state = (b * channels + c) * N;
      for (let n = 0; n < N; n++) x[state + n] = inputs[4]?.[state + n] ?? 0;
      for (let t = 0; t < length; t++) {
        const td = (b * length + t) * channels + c;
        for (let n = 0; n < N; n++) {
          next[n] = Bbar[c * N + n] * u[td];
          for (let k = 0; k < N; k++) next[n] += Abar[(c * N + n) * N + k] * x[state + k];
        }
        for (let n = 0; n < N; n++) x[state + n] = next[n];
        for (let m = 0; m < readouts; m++) {
          let sum = 0;
          for (let n = 0; n < N; n++) sum += C[(c * readouts + m) * N + n] * x[state + n];
          y[td * readouts + m] = sum;
        }
      }
    });
  },

  // With g[t] = Σ_m dy[t,m] C_m + Āᵀ g[t+1], g[L−1] taking the gradient of the last state too:
  //   dĀ = Σ_t g[t] x[t−1]ᵀ    dB̄ = Σ_t u[t] g[t]    du[t] = B̄ · g[t]    dC_m = Σ_t dy[t,m] x[t]    dstate = Āᵀ g[0]
  backward(inputs, _outputs, [dy, dLast], [du, dAbar, dBbar, dC, dState], sizes) {
    const [u, Abar, Bbar, C] = inputs as readonly Numbers[]; // these are not optional
    const { length, channels, N, readouts } = sizes;
    const xs = new Float64Array((length + 1) * N); // xs[t + 1] is x[t], xs[0] the initial state
    const g = new Float64Array(N);
    const carried = new Float64Array(N); // Āᵀ g[t+1]
    eachChannel(sizes, (b, c) => {
      const state = (b * channels + c) * N;
      const at = (t: number) => (b * length + t) * channels + c;
      for (let n = 0; n < N; n++) xs[n] = inputs[4]?.[state + n] ?? 0;
      for (let t = 0; t < length; t++) {
        for (let n = 0; n < N; n++) {
          let sum = Bbar[c * N + n] * u[at(t)];
          for (let k = 0; k < N; k++) sum += Abar[(c * N + n) * N + k] * xs[t * N + k];
          xs[(t + 1) * N + n] = sum;
        }
      }
      for (let n = 0; n < N; n++) carried[n] = dLast[state + n];
      for (let t = length - 1; t >= 0; t--) {
        g.set(carried);
        for (let m = 0; m < readouts; m++) {
          const slope = dy[at(t) * readouts + m];
          for (let n = 0; n < N; n++) {
            g[n] += slope * C[(c * readouts + m) * N + n];
            dC[(c * readouts + m) * N + n] += slope * xs[(t + 1) * N + n];
          }
        }
        carried.fill(0);
        for (let n = 0; n < N; n++) {
          dBbar[c * N + n] += u[at(t)] * g[n];
          du[at(t)] += Bbar[c * N + n] * g[n];
          for (let k = 0; k < N; k++) {
            dAbar[(c * N + n) * N + k] += g[n] * xs[t * N + k];
            carried[k] += Abar[(c * N + n) * N + k] * g[n];
          }
        }
      }
      for (let n = 0; n < N; n++) dState[state + n] += carried[n];
    });
  },
});

/** y (batch, length, channels, readouts), and the state after the last step: to be given to the scan of what follows. */
export function denseScan(
  u: Tensor,
  Abar: Tensor,
  Bbar: Tensor,
  C: Tensor,
  options: { state?: Tensor } = {},
): { y: Tensor; state: Tensor } {
  const [y, state] = apply(denseScanOp, [u, Abar, Bbar, C, options.state ?? null], null);
  return { y, state };
}

function eachChannel(
  { batch, channels }: Readonly<Record<string, number>>,
  fn: (b: number, c: number) => void,
): void {
  for (let b = 0; b < batch; b++) for (let c = 0; c < channels; c++) fn(b, c);
}
