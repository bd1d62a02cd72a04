import assert from "node:assert/strict";
import { test } from "node:test";

import { projectLegS } from "../../src/math/projection.ts";
import { hippoKind, HippoLayer } from "../../src/models/hippo.ts";
import type { NamedTensors } from "../../src/models/layers.ts";
import { exactDevice } from "../gradcheck.ts";

const [N, length] = [6, 40];
const signal = Float64Array.from({ length }, (_, t) => Math.sin(t / 3) + t / 50);

/** A layer that says its coefficients: toMemory takes the first channel, out is the identity. */
function coefficients() {
  const device = exactDevice();
  const given = { dModel: N, layers: 1, dState: N, measure: "scaledLegs", recurrent: false };
  const numbers: Record<string, (i: number) => number> = {
    toMemory: (i) => (i === 0 ? 1 : 0),
    out: (i) => (i % (N + 1) === 0 ? 1 : 0),
    outBias: () => 0,
  };
  const layer = new HippoLayer(hippoKind.config(given), (name, shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return device.tensor(
      Float64Array.from({ length: size }, (_, i) => numbers[name](i)),
      shape,
    );
  });
  const input = (from: number, to: number) =>
    device.tensor(
      Float64Array.from({ length: (to - from) * N }, (_, i) => (i % N === 0 ? signal[from + i / N] : 0)),
      [1, to - from, N],
    );
  return { layer, input };
}

function assertClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(got.length, expected.length);
  for (let i = 0; i < got.length; i++) assert.ok(Math.abs(got[i] - expected[i]) < 1e-10, `element ${i}`);
}

test("scaled LegS holds the coefficients of math/projection.ts, under the bilinear rule", async () => {
  const { layer, input } = coefficients();
  assertClose(await layer.forward(input(0, length)).y.read(), projectLegS(signal, N, "bilinear"));
});

test("the state of scaled LegS knows how many samples there were", async () => {
  const { layer, input } = coefficients();
  const half = layer.forward(input(0, 17)).state;
  assert.deepEqual([...(await half.samples.read())], [17]);
  const rest = layer.forward(input(17, length), half);
  assertClose(await rest.y.read(), projectLegS(signal, N, "bilinear").subarray(17 * N));
  const states: NamedTensors[] = [half, rest.state];
  assert.deepEqual(
    states.map(({ memory }) => memory.shape),
    [
      [1, 1, N],
      [1, 1, N],
    ],
  );
});
