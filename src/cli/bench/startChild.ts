import { availableParallelism } from "node:os";
import type { StartTimes } from "./start.ts";

/** Run as a process of its own: opens a device, computes, and prints the times as JSON. */
const [name, threads] = process.argv.slice(2);
const times: number[] = [performance.now()];
const lap = () => times.push(performance.now());

const { capture, matmul, openDevice } = await import("../../node.ts");
lap();
const usual = Number(threads) === availableParallelism(); // then as without asking: threads join as they start
const device = await openDevice({ device: name, ...(!usual && { threads: Number(threads) }) });
lap();
const u = device.tensor([1, 2, 3, 4], [2, 2]);
await matmul(u, u).read();
lap();

const a = device.tensor(new Float32Array(64 * 256).fill(0.5), [64, 256]);
const b = device.tensor(new Float32Array(256 * 256).fill(0.5), [256, 256]);
const product = capture(device, () => matmul(a, b));
const products: number[] = [];
for (const until = performance.now() + 150; products.length < 2 || performance.now() < until;) {
  const started = performance.now();
  product.run();
  await device.backend.settle?.();
  products.push(performance.now() - started);
}
await device.dispose();

const [started, imported, opened, first] = times;
const result: StartTimes = {
  nodeMs: started,
  importMs: imported - started,
  openMs: opened - imported,
  opMs: first - opened,
  firstProductMs: products[0],
  bestProductMs: products.reduce((a, b) => Math.min(a, b)),
};
process.stdout.write(JSON.stringify(result));
