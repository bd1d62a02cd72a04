import { capture, type Device, gradients, selectiveScan } from "../../node.ts";
import { type Case, replays, runCases } from "./cases.ts";
import { scanFlops } from "./cost.ts";
import { uniform } from "./inputs.ts";
import type { BenchContext, Topic } from "./topic.ts";

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly dInner: number;
}

const sizes: readonly Size[] = [
  { batch: 2, length: 1024, dInner: 1536 },
  { batch: 8, length: 256, dInner: 128 },
  { batch: 1, length: 4096, dInner: 512 },
];

/** What fills a large GPU. */
const onGpu: readonly Size[] = [
  { batch: 8, length: 512, dInner: 1536 },
  { batch: 32, length: 512, dInner: 1536 },
];

const brief: readonly Size[] = [{ batch: 2, length: 16, dInner: 32 }];

const dState = 16;

export const scan: Topic = {
  summary: "the selective scan of Mamba with softplus, skip and gate, forward, and forward with backward",
  run: (context) =>
    runCases(
      "scan",
      context,
      sizesFor(context).flatMap((size) => {
        const forward = scanCase(context.device, size, null);
        return [forward, scanCase(context.device, size, forward)];
      }),
    ),
};

function sizesFor({ quick, device }: BenchContext): readonly Size[] {
  if (quick) return brief;
  return device.name === "webgpu" ? [...sizes, ...onGpu] : sizes;
}

/**
 * The flops are counted in cost.ts; the rate is in elements of the state. Forward reads u, Δ, z and writes y; backward
 * reads u, Δ, z, dy and writes the gradients of the first three. B and C are small beside them.
 */
function scanCase(device: Device, { batch, length, dInner }: Size, forward: Case | null): Case {
  const sequence = [batch, length, dInner];
  const u = uniform(device, sequence);
  const delta = uniform(device, sequence);
  const z = uniform(device, sequence);
  const A = uniform(device, [dState, dInner], -16, -1);
  const B = uniform(device, [batch, length, dState]);
  const C = uniform(device, [batch, length, dState]);
  const D = uniform(device, [dInner]);
  const deltaBias = uniform(device, [dInner], -7, -2); // softplus of it: 0.001 to 0.1, as the paper begins
  const inputs = [u, delta, A, B, C, D, z, deltaBias];
  const fused = () => selectiveScan(u, delta, A, B, C, { D, z, deltaBias, softplus: true }).y;
  const program = capture<unknown>(device, () => (forward ? gradients(inputs, fused) : fused()));
  const states = batch * length * dInner * dState;
  const tensors = forward ? 4 + 7 : 4;
  const own: Case = {
    name: `B${batch} L${length} D${dInner} N${dState} forward${forward ? " and backward" : ""}`,
    bytes: 4 * (tensors * batch * length * dInner + (forward ? 6 : 2) * batch * length * dState),
    flops: scanFlops(states, "forward") + (forward ? scanFlops(states, "backward") : 0),
    work: { amount: states / 1e9, unit: "G states" },
    ...replays(program),
    details(samples): Record<string, number> {
      if (forward === null) return {};
      const [alone, both] = [samples.get(forward)!.medianMs, samples.get(own)!.medianMs]; // both were measured
      return { backwardMs: both - alone, backwardByForward: (both - alone) / alone };
    },
    free() {
      for (const part of [program, ...inputs]) part.free();
    },
  };
  return own;
}
