/** Training on a GPU that is lost, for real: its device is destroyed in the middle of a step. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { withLastingDevice } from "../../src/cli/device.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { DeviceLostError, silu } from "../../src/node.ts";
import { WebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { assertSame, statewise, temporaryFolder, tiny } from "./cli.ts";

const { VK_ICD_FILENAMES = "", LD_LIBRARY_PATH = "", STATEWISE_DAWN = "" } = process.env; // scripts/test.ts sets them
const gpu = { VK_ICD_FILENAMES, LD_LIBRARY_PATH, STATEWISE_DAWN, STATEWISE_DEVICE: "webgpu" };
const losing = { ...gpu, NODE_OPTIONS: `--import=${new URL("./loseGpu.js", import.meta.url).href}` };
const task = ["train", "induction-heads", ...tiny, "--steps", "8"];

/** To compile the kernels of a training takes seconds, many where others compute, too. */
const timeoutMs = 180_000;

test("a run whose GPU is lost goes on from its last checkpoint, and equals one whose GPU never was", async (t) => {
  const cwd = temporaryFolder(t);
  const rhythm = ["--checkpoint-every", "4"];
  // A step reads three times, a checkpoint 39 times: the GPU is lost in step 6.
  const env = { ...losing, LOSE_AT: "56" };
  const lost = await statewise([...task, ...rhythm, "--name", "lost"], { cwd, env, timeoutMs });
  assert.equal(lost.code, 0, lost.stderr);
  assert.match(lost.stderr, /^webgpu: the GPU was lost \(.*The checkpoint of step 4 is kept in runs\/lost\./);
  assert.match(lost.stderr, /The device is opened anew\.\n$/);
  assert.match(lost.stdout, /^resuming runs\/lost at step 4 of 8$/m);
  const whole = await statewise([...task, ...rhythm, "--name", "whole"], { cwd, env: gpu, timeoutMs });
  assert.equal(whole.code, 0, whole.stderr);
  assertSame(join(cwd, "runs", "lost"), join(cwd, "runs", "whole"));
});

/** Does `use` on the GPU again and again; returns how often, what was said, and the error it ended with. */
async function lastingly(saved: (turn: number) => string, use: (backend: WebGpuBackend) => Promise<void>) {
  let turns = 0;
  let said = "";
  const stream = { write: (text: string) => void (said += text) };
  const terminal = new Terminal(stream, stream, false);
  const error = await withLastingDevice(
    { device: "webgpu", threads: undefined },
    { terminal, saved: async () => saved(turns), pauseMs: 1 },
    async (device) => {
      turns++;
      const { backend } = device;
      assert.ok(backend instanceof WebGpuBackend);
      await use(backend);
      await silu(device.tensor([1, 2, 3])).read();
    },
  ).catch((error: unknown) => error);
  return { turns, said, error };
}

test("where nothing is saved between losses, the fourth loss ends it; where something is, none does", async () => {
  const stuck = await lastingly(
    () => "",
    async (backend) => backend.device.destroy(),
  );
  assert.ok(stuck.error instanceof DeviceLostError);
  assert.equal(stuck.turns, 4);
  assert.equal(stuck.said.match(/The device is opened anew\.\n/g)?.length, 3);
  let left = 6;
  const going = await lastingly(String, async (backend) => void (left-- > 0 && backend.device.destroy()));
  assert.deepEqual([going.error, going.turns], [undefined, 7]);
});

test("where the memory did not suffice, the same is tried again only if something was saved", async () => {
  const full = async () => {
    throw new DeviceLostError("webgpu: the GPU has no memory left. Use smaller batches.", true);
  };
  const stuck = await lastingly(() => "", full);
  assert.deepEqual([stuck.turns, stuck.said], [1, ""]);
  assert.match(String(stuck.error), /Use smaller batches/);
  const going = await lastingly((turn) => String(Math.min(turn, 3)), full);
  assert.equal(going.turns, 4);
});
