/** Training on a GPU that is lost, for real: its device is destroyed in the middle of a step. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { assertSame, statewise, temporaryFolder, tiny } from "./cli.ts";

const { VK_ICD_FILENAMES = "", LD_LIBRARY_PATH = "", STATEWISE_DAWN = "" } = process.env; // scripts/test.ts sets them
const gpu = { VK_ICD_FILENAMES, LD_LIBRARY_PATH, STATEWISE_DAWN, STATEWISE_DEVICE: "webgpu" };
const losing = { ...gpu, NODE_OPTIONS: `--import=${new URL("./loseGpu.js", import.meta.url).href}` };
const task = ["train", "induction-heads", ...tiny, "--steps", "12"];

test("a run whose GPU is lost goes on from its last checkpoint, and equals one whose GPU never was", async (t) => {
  const cwd = temporaryFolder(t);
  const rhythm = ["--checkpoint-every", "4"];
  // A step reads three times: loss, predictions, norm. So the GPU is lost in steps 2, 6 and, taken up at 4, 11.
  const env = { ...losing, LOSE_AT: "5,23,50" };
  const lost = await statewise([...task, ...rhythm, "--name", "lost"], { cwd, env });
  assert.equal(lost.code, 0, lost.stderr);
  const said = lost.stderr.match(/^webgpu: the GPU was lost \(.*The device is opened anew\.$/gm) ?? [];
  assert.equal(said.length, 3, lost.stderr);
  assert.match(said[0], /There is no checkpoint yet in runs\/lost\./);
  assert.match(said[1], /The checkpoint of step 4 is kept in runs\/lost\./);
  assert.match(lost.stdout, /^resuming runs\/lost at step 4 of 12$/m);
  const whole = await statewise([...task, ...rhythm, "--name", "whole"], { cwd, env: gpu });
  assert.equal(whole.code, 0, whole.stderr);
  assertSame(join(cwd, "runs", "lost"), join(cwd, "runs", "whole"));
});

test("a run whose GPU is lost again and again gives up, and says where its last checkpoint is", async (t) => {
  const cwd = temporaryFolder(t);
  const { code, stderr } = await statewise(task, { cwd, env: { ...losing, LOSE_AT: "every" } });
  assert.equal(code, 1);
  assert.equal(stderr.match(/The device is opened anew/g)?.length, 3);
  assert.match(
    stderr,
    /\nwebgpu: the GPU was lost .* There is no checkpoint yet in runs\/induction-heads\.\n$/,
  );
});
