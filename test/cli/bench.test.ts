import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import {
  blockWeights,
  convolutionFlops,
  forwardFlops,
  s4dTrainingFlops,
  scanFlops,
  stateNumbers,
  trainingFlops,
} from "../../src/cli/bench/cost.ts";
import { config130m } from "../../src/cli/bench/decode.ts";
import { repeatingParameters } from "../../src/cli/bench/inputs.ts";
import { interleave, median, samplesOf } from "../../src/cli/bench/measure.ts";
import { chainFloats, fmaProbe, readCase, readProbe } from "../../src/cli/bench/probes.ts";
import type { BenchLine } from "../../src/cli/bench/topic.ts";
import { topics } from "../../src/cli/bench/topics.ts";
import { languageConfig, languageModel, mamba, mambaConfig, plainDevice, random } from "../../src/node.ts";
import { openDevices } from "../devices.ts";

const devices = await openDevices();
after(() => Promise.all(devices.map((device) => device.dispose())));

for (const device of devices) {
  const threads = device.name === "plain" ? 1 : 2;

  for (const [name, topic] of Object.entries(topics)) {
    if (name === "kernels" && device.name !== "webgpu") continue; // it refuses: below
    test(`${name} on ${device.name} reports times, rates and limits, and gives its memory back`, async () => {
      const lines: BenchLine[] = [];
      const used = bytesUsed();
      await topic.run({ device, threads, quick: true, report: (line) => lines.push(line), progress() {} });
      assert.ok(lines.length > 0);
      for (const line of lines) {
        assert.deepEqual([line.topic, line.device, line.threads], [name, device.name, threads]);
        assert.ok(line.minMs > 0 && line.minMs <= line.medianMs, `${line.minMs} of ${line.medianMs} ms`);
        assert.ok(line.runs >= line.roundMs.length && line.roundMs.length >= 2);
        const limited = device.name !== "plain" && name !== "memory" && name !== "start";
        assert.equal(line.limitKind !== null, limited);
        assert.equal(line.limit !== null, limited);
        if (line.fraction === null || line.rate === null || line.limit === null) continue;
        assert.ok(line.fraction > 0);
        assert.ok(Math.abs(line.rate / line.limit / line.fraction - 1) < 1e-9);
      }
      assert.equal(bytesUsed(), used);
    });
  }

  function bytesUsed(): number {
    const { backend } = device;
    if (backend instanceof WebGpuBackend) return backend.use().bytes;
    return "used" in backend ? (backend.used as () => number).call(backend) : 0;
  }

  test(`readProbe on ${device.name} has read every number of every slice`, async () => {
    const source = random(0);
    for (const [length, size, sliceLength, streams, repeats] of [
      [1, 1, 1, 1, 1],
      [700, 613, 100, 1, 3],
      [700, 613, 100, 4, 3],
      [1100, 1100, 600, 4, 1],
      [1024, 1024, 1024, 4, 2],
    ] as const) {
      const values = Int32Array.from({ length }, () => source.integer(2 ** 31));
      const expected = new Int32Array(Math.ceil(size / sliceLength));
      for (let i = 0; i < size * repeats; i++)
        expected[Math.floor((i % size) / sliceLength)] ^= values[i % size];
      const y = readProbe(device.integers(values), { size, sliceLength, streams, repeats });
      assert.deepEqual(await y.read(), expected);
    }
  });

  test(`fmaProbe on ${device.name} applies 0.75 x + 0.5 as often as it was told`, async () => {
    const u = Float32Array.from({ length: 3 * chainFloats }, (_, i) => i % 7);
    const y = await fmaProbe(device.tensor(u), 5).read();
    const shift = 2 * (1 - 0.75 ** 5); // 0.75⁵ x + 0.5 (1 + 0.75 + … + 0.75⁴)
    for (const [i, value] of y.entries()) assert.ok(Math.abs(value - (0.75 ** 5 * u[i] + shift)) < 1e-6);
  });
}

test("a probe refuses sizes that it cannot read or keep in registers", () => {
  const device = plainDevice();
  assert.throws(
    () => readProbe(device.integers([1, 2]), { size: 3, sliceLength: 1, streams: 1, repeats: 1 }),
    {
      name: "ShapeError",
      message: "readProbe: size must be at most 2, got 3",
    },
  );
  assert.throws(() => fmaProbe(device.tensor([1, 2]), 1), {
    name: "ShapeError",
    message: "fmaProbe: the length of u must be a multiple of 160, got 2",
  });
});

test("a small buffer is read so often that starting does not count, a large one once", () => {
  const device = plainDevice();
  assert.equal(readCase(device.integers(new Int32Array(2 ** 10)), 2 ** 12, 2).bytes, 2 ** 24);
  assert.equal(readCase(device.empty([2 ** 23], "i32"), 2 ** 25, 2).bytes, 2 ** 25);
});

/** Cases that take given times on a clock that only they move. */
function rehearse(names: Record<string, readonly number[]>, order: string[]) {
  let clock = 0;
  const cases = Object.entries(names).map(([name, times]) => {
    let run = 0;
    return {
      name,
      run() {
        order.push(name);
        clock += times[Math.min(run++, times.length - 1)];
      },
    };
  });
  return { cases, now: () => clock, busy: () => 1.5 * clock };
}

test("cases are measured by turns, each warmed before the first and at the start of every turn", async () => {
  const order: string[] = [];
  const { cases, now, busy } = rehearse({ a: [2, 5, 1, 1, 7, 3, 3], b: [9] }, order);
  const samples = await interleave(cases, { rounds: 2, turnMs: 6, warmMs: 3, now, busy, progress() {} });
  assert.equal(order.join(""), ["aa", "b", "aaa", "b", "aaa", "b"].join(""));
  assert.deepEqual(samples.get(cases[0]), { medianMs: 3, minMs: 1, runs: 4, roundMs: [4, 3], cores: 1.5 });
  assert.deepEqual(samples.get(cases[1]), { medianMs: 9, minMs: 9, runs: 2, roundMs: [9, 9], cores: 1.5 });
});

test("a promise is waited for", async () => {
  let done = 0;
  const slow = { name: "slow", run: () => Promise.resolve().then(() => done++) };
  const now = () => done;
  const samples = await interleave([slow], {
    rounds: 1,
    turnMs: 1,
    warmMs: 1,
    now,
    busy: now,
    progress() {},
  });
  assert.deepEqual(samples.get(slow), { medianMs: 1, minMs: 1, runs: 1, roundMs: [1], cores: 1 });
});

test("kernels are timed one by one on the GPU only", async () => {
  const device = plainDevice();
  await assert.rejects(topics.kernels.run({ device, threads: 1, quick: true, report() {}, progress() {} }), {
    name: "UsageError",
    message: "kernels: only the GPU times each kernel of a program, got plain. Use --device webgpu.",
  });
});

test("on a device that works while the program goes on, many runs are timed together, so that waiting does not count", async () => {
  let clock = 0;
  let told = 0;
  const subject = {
    name: "a",
    run: () => assert.fail("it can be repeated"),
    repeat: (times: number) => void (told += times),
  };
  const settle = async () => {
    clock += 1 + 0.5 * told; // to wait takes 1 ms, a run 0.5
    told = 0;
  };
  const now = () => clock;
  const pace = { rounds: 2, turnMs: 100, warmMs: 300, now, busy: now, progress() {}, settle };
  const { medianMs } = (await interleave([subject], pace)).get(subject)!; // it was measured
  assert.ok(medianMs > 0.5 && medianMs < 0.53, `${medianMs} ms`);
});

test("the median of an even number of times is the mean of the two in the middle", () => {
  assert.equal(median([4, 1, 100, 2]), 3);
  const turns = [
    { times: [3, 1], wallMs: 4, busyMs: 2 },
    { times: [10], wallMs: 10, busyMs: 5 },
  ];
  assert.deepEqual(samplesOf(turns), { medianMs: 3, minMs: 1, runs: 3, roundMs: [2, 10], cores: 0.5 });
});

test("the products of mamba-130m take 179.3 MFLOP a token, as counted for its peers", () => {
  assert.equal(2 * blockWeights(config130m), 179_306_496);
});

test("what is counted is what the model has", () => {
  const device = plainDevice();
  const config = mambaConfig({ vocabulary: 7, dModel: 12, layers: 3, dState: 5, dtRank: 2, dConv: 3 });
  const model = mamba(config, repeatingParameters(device));
  const products = [...model.parameters].filter(([name]) => /\.(inX|inZ|xProj|dtProj|out)$/.test(name));
  assert.equal(
    blockWeights(config),
    products.reduce((sum, [, { buffer }]) => sum + buffer.length, 0),
  );
  const state = model.initialState(1).flatMap((layer) => Object.values(layer));
  assert.equal(
    stateNumbers(config),
    state.reduce((sum, { buffer }) => sum + buffer.length, 0),
  );
  const states = 10 * 3 * 24 * 5;
  const [scan, back] = [scanFlops(states, "forward"), scanFlops(states, "backward")];
  assert.equal(forwardFlops(config, 10, 1), 2 * (10 * blockWeights(config) + 7 * 12) + scan);
  assert.equal(trainingFlops(config, 10), 6 * 10 * (blockWeights(config) + 7 * 12) + scan + back);
});

test("an S4D counts its products, its convolutions and the terms of its filters", () => {
  const sizes = { vocabulary: 7, dModel: 12, layers: 3, dState: 4 };
  const model = languageModel(languageConfig("s4d", { ...sizes }), repeatingParameters(plainDevice()));
  const weights = [...model.parameters]
    .filter(([name]) => /(\.out|^embedding)$/.test(name))
    .reduce((sum, [, { buffer }]) => sum + buffer.length, 0);
  const convolutions =
    convolutionFlops(2 * 12, 12, 8, "forward") + convolutionFlops(2 * 12, 12, 8, "backward");
  const filters = 12 * 12 * 2 * 8; // 12 flops for each of 12 channels, 2 modes, 8 positions
  assert.equal(s4dTrainingFlops(sizes, 2, 8), 6 * 16 * weights + 3 * (convolutions + filters));
});
