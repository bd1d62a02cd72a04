import { selectiveScan } from "../../src/ops/selectiveScan.ts";
import { elementsOf } from "../../src/tensor/shape.ts";
import type { Context } from "./adapter.ts";
import type { GoldenCase, Values } from "./case.ts";
import { download, permute, reshaped, upload } from "./layout.ts";

/**
 * Kind `selective_state_update`: one step of the recurrence from a given state, which here is a scan of length 1.
 * Heads of several channels are dInner = heads · channels; head h reads group ⌊h groups / heads⌋, as its channels do.
 */
export async function selectiveStateUpdate(
  golden: GoldenCase,
  { device }: Context,
): Promise<Record<string, Values>> {
  const stateShape = (await golden.input("state")).shape; // (batch, dInner, dState) or (batch, heads, channels, dState)
  const batch = stateShape[0];
  const dState = stateShape[stateShape.length - 1];
  const dInner = elementsOf(stateShape) / batch / dState;

  const optional = async (name: string, shape: number[]) => {
    const values = await golden.optionalInput(name);
    return values ? upload(device, reshaped(values, shape)) : undefined;
  };
  const oneStep = async (name: string) =>
    upload(device, reshaped(await golden.input(name), [batch, 1, dInner]));
  const perGroup = async (name: string) => {
    const values = await golden.input(name);
    const groups = values.shape.length === 3 ? values.shape[1] : 1;
    return upload(device, reshaped(values, [batch, 1, groups, dState]));
  };
  const state = permute(reshaped(await golden.input("state"), [batch, dInner, dState]), [0, 2, 1]);
  const A = permute(reshaped(await golden.input("A"), [dInner, dState]), [1, 0]);

  const scan = selectiveScan(
    await oneStep("x"),
    await oneStep("dt"),
    upload(device, A),
    await perGroup("B"),
    await perGroup("C"),
    {
      D: await optional("D", [dInner]),
      z: await optional("z", [batch, 1, dInner]),
      deltaBias: await optional("dt_bias", [dInner]),
      state: upload(device, state),
      softplus: true,
    },
  );
  return {
    "out.out": reshaped(await download(scan.y), stateShape.slice(0, -1)),
    "out.state": reshaped(permute(await download(scan.state), [0, 2, 1]), stateShape),
  };
}
