import { z as zod } from "zod";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { selectiveScan } from "../../src/ops/selectiveScan.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { download, inverse, permute, uploadInputs } from "./layout.ts";

const config = zod.object({ delta_softplus: zod.boolean() });

/** Kind `selective_scan`: a scan, its last state, and the gradients of Σ out G and of Σ out G + Σ last_state GS. */
export async function selectiveScanCase(
  golden: GoldenCase,
  { device }: Context,
): Promise<Record<string, Values>> {
  const { delta_softplus: softplus } = configOf(golden, config);
  const inputs = await uploadInputs(golden, device, ["u", "delta", "A", "B", "C", "G"], orderOf);
  const { u, delta, A, B, C, D, z, delta_bias: deltaBias, G, GS } = inputs;
  const scan = () => {
    const [b, c] = sameGroups(B, C, u.shape);
    return selectiveScan(u, delta, A, b, c, { D, z, deltaBias, softplus });
  };

  const { y, state } = scan();
  const results: Record<string, Values> = {
    "out.out": permute(await download(y), orderOf("out", 3)),
    "out.last_state": permute(await download(state), orderOf("last_state", 3)),
  };
  const wanted = Object.entries(inputs).filter(([name]) => name !== "G" && name !== "GS");
  const losses: Record<string, () => Tensor> = { grad: () => sum(mul(scan().y, G)) };
  if (GS) {
    losses.grad_state = () => {
      const { y, state } = scan();
      return add(sum(mul(y, G)), sum(mul(state, GS)));
    };
  }
  for (const [prefix, loss] of Object.entries(losses)) {
    const { gradients: found } = gradients(
      wanted.map(([, tensor]) => tensor),
      loss,
    );
    for (const [name, tensor] of wanted) {
      const gradient = found.get(tensor);
      if (!gradient) continue;
      const order = inverse(orderOf(name, gradient.shape.length));
      results[`${prefix}.${name}`] = permute(await download(gradient), order);
    }
  }
  return results;
}

/**
 * B and C as the op takes them. Where a case groups them differently, or gives one that is the same at every step,
 * (dInner, dState), both get a group a channel: (batch, length, dInner, dState).
 */
function sameGroups(B: Tensor, C: Tensor, [batch, length, dInner]: Shape): [Tensor, Tensor] {
  if (B.shape.length > 2 && B.shape.join() === C.shape.join()) return [B, C];
  const spread = (matrix: Tensor): Tensor => {
    const dState = matrix.shape[matrix.shape.length - 1];
    if (matrix.shape.length === 2) {
      return add(matrix.device.zeros([batch, length, dInner, dState]), matrix);
    }
    const groups = matrix.shape.length === 4 ? matrix.shape[2] : 1;
    const zeros = matrix.device.zeros([batch, length, groups, dInner / groups, dState]);
    const repeated = add(zeros, reshape(matrix, [batch, length, groups, 1, dState]));
    return reshape(repeated, [batch, length, dInner, dState]);
  };
  return [spread(B), spread(C)];
}

/** Which axis of the case each of our axes is: ours are (batch, length, …), channels or, in B and C, states last. */
function orderOf(name: string, rank: number): number[] {
  if (rank === 4) return [0, 3, 1, 2]; // B, C (batch, groups, dState, length)
  if (rank === 3) return [0, 2, 1]; //    u (batch, dInner, length), B (batch, dState, length), GS (batch, dInner, dState)
  return name === "A" ? [1, 0] : Array.from({ length: rank }, (_, axis) => axis);
}
