import { conjugate } from "../../src/math/complex.ts";
import { discreteDplr, type DiscreteDplr, truncatedReadout } from "../../src/math/dplr.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { dplrFilter } from "../../src/ops/dplrFilter.ts";
import { dplrReadout } from "../../src/ops/dplrReadout.ts";
import { dplrScan } from "../../src/ops/dplrScan.ts";
import { halfSystem } from "../../src/ops/dplrSystem.ts";
import { sum } from "../../src/ops/reduce.ts";
import { slice, transpose } from "../../src/ops/reshape.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { plainDevice } from "../../src/index.ts";
import type { Context } from "./adapter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { download, permute, stack, upload, uploadInputs } from "./layout.ts";
import { s4System } from "./s4System.ts";

const required = ["inv_dt", "A_real", "A_imag", "B", "P", "C", "G", "u"];

/** How many steps of the recurrence a case shows. */
const shown = 16;

/**
 * Kind `s4_dplr_kernel`: C̃, Ā and B̄ from math/dplr.ts, in float64; then, on the device, the filter made from C̃ with
 * its gradients, and the recurrence with the C that `dplrReadout` makes of C̃. C (heads, channels, n, 2) reads each
 * channel several times.
 */
export async function s4DplrKernel(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { C, G, u, state0, ...stored } = await uploadInputs(golden, device, required, inOrder);
  const [heads, channels] = C.shape;
  const length = G.shape[2];
  const { Ctilde, ...discrete } = await discretize({ ...stored, C }, length);
  const parameters: Record<string, Tensor> = { ...stored, C_tilde: upload(device, Ctilde) };
  const headOf = (x: Tensor, head: number) => reshape(slice(x, 0, head, head + 1), x.shape.slice(1));
  const filter = (head: number) => {
    const { lambda, P, B, delta } = s4System(parameters);
    return dplrFilter(lambda, P, B, headOf(parameters.C_tilde, head), delta, { length });
  };
  const everyHead = Array.from({ length: heads }, (_, head) => head);

  const { gradients: found } = gradients(Object.values(parameters), () =>
    everyHead.map((head) => sum(mul(filter(head), headOf(G, head)))).reduce((a, b) => add(a, b)),
  );
  const grads: Record<string, Values> = {};
  for (const [name, tensor] of Object.entries(parameters))
    grads[`grad.${name}`] = await download(found.get(tensor)!); // each leads to the filter

  const { lambda, P, B, delta } = s4System(parameters);
  const scan = async (input: Tensor, state?: Tensor) => {
    const ys: Values[] = [];
    let last: Values | undefined;
    for (const head of everyHead) {
      const readout = dplrReadout(lambda, P, headOf(parameters.C_tilde, head), delta, { length });
      const out = dplrScan(transpose(input), lambda, P, B, readout, delta, { state });
      ys.push(await download(transpose(out.y)));
      last = await download(out.state);
    }
    return { y: permute(stack(ys), [1, 0, 2, 3]), state: last! }; // there is a head
  };
  const fromZero = await scan(slice(u, 2, 0, shown));
  const results: Record<string, Values> = {
    "out.C_tilde": Ctilde,
    ...discrete,
    "out.K": stack(await Promise.all(everyHead.map((head) => download(filter(head))))),
    "out.y_step": fromZero.y,
    "out.state_step": fromZero.state,
    ...grads,
  };
  results["out.K_dense"] = results["out.K"];
  if (state0) {
    results["out.K_state"] = (await scan(device.zeros([state0.shape[0], channels, length]), state0)).y;
    results["out.next_state"] = (await scan(u, state0)).state;
  }
  return results;
}

const inOrder = (_: string, rank: number) => Array.from({ length: rank }, (_, axis) => axis);

/** In float64: C̃ (heads, channels, n, 2), and Ā, B̄ of each channel as matrices over both of each conjugate pair. */
export async function discretize(stored: Readonly<Record<string, Tensor>>, length: number) {
  const exact = plainDevice("f64");
  const parameters: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(stored))
    parameters[name] = exact.tensor(await tensor.read(), tensor.shape);
  const [heads, channels, n] = stored.C.shape;
  const rank = stored.P.shape[0];
  const { lambda, P, B, delta } = s4System(parameters);
  const numbers = await Promise.all([lambda, P, B, parameters.C, delta].map((tensor) => tensor.read()));
  const systems = Array.from({ length: channels }, (_, h) => {
    const half = halfSystem(numbers, { channels, n, rank }, h);
    return discreteDplr(half.lambda, half.P, half.B, half.delta);
  });
  const Ctilde = Array.from({ length: heads * channels }, (_, row) => {
    const C = numbers[3].subarray(row * 2 * n, (row + 1) * 2 * n);
    return [...truncatedReadout(Float64Array.from(C), systems[row % channels], length)];
  });
  return {
    Ctilde: { shape: stored.C.shape, data: Float64Array.from(Ctilde.flat()) },
    "out.dA": { shape: [channels, 2 * n, 2 * n, 2], data: Float64Array.from(systems.flatMap(matrixOf)) },
    "out.dB": {
      shape: [channels, 2 * n, 2],
      data: Float64Array.from(systems.flatMap(({ b }) => [...b, ...conjugate(b)])),
    },
  };
}

/** Ā over both of each pair, row by row: Re Σ f x is (Σ f x + Σ f̄ x̄) / 2. */
function matrixOf({ a, w, f }: DiscreteDplr): number[] {
  const both = (x: Float64Array) => [...x, ...conjugate(x)];
  const [diagonal, columns, rows] = [both(a), w.map(both), f.map(both)];
  const N = a.length;
  return Array.from({ length: N * N }, (_, at) => {
    const [i, j] = [2 * Math.floor(at / N), 2 * (at % N)];
    const entry = i === j ? [diagonal[i], diagonal[i + 1]] : [0, 0];
    for (const [r, column] of columns.entries()) {
      entry[0] -= (column[i] * rows[r][j] - column[i + 1] * rows[r][j + 1]) / 2;
      entry[1] -= (column[i] * rows[r][j + 1] + column[i + 1] * rows[r][j]) / 2;
    }
    return entry;
  }).flat();
}
