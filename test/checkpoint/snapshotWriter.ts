import { diskFiles } from "../../src/checkpoint/diskFiles.ts";
import { latestSnapshot, writeSnapshot } from "../../src/checkpoint/snapshot.ts";
import { contentsOf } from "./snapshotContents.ts";

/** A process to be killed: goes on from the last snapshot, writes one after the other, prints each step written. */
const [root, run] = process.argv.slice(2);
const files = diskFiles(root);
const last = await latestSnapshot(files, run);
for (let step = (last?.step ?? 0) + 1; ; step++) {
  await writeSnapshot(files, run, step, contentsOf(step, "killed", 100_000));
  console.log(step);
}
