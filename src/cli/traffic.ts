import {
  Decoder,
  type Device,
  type Gpu,
  type LanguageModel,
  leastGpu,
  type Traffic,
  trafficOf,
  Trainer,
} from "../node.ts";
import { bytes, columns, count, counted } from "./format.ts";
import type { Terminal } from "./terminal.ts";
import type { Compiled } from "./watch.ts";

/** A model on a device that is watched, the programs captured there, and the shape of its training batches. */
interface Watched {
  readonly model: LanguageModel;
  readonly compiled: readonly Compiled[];
  readonly shape: { readonly batch: number; readonly length: number };
}

/** What the GPU of a device can do, or any GPU at the least: traffic is counted from the plan, without one. */
export function gpuFor({ backend }: Device): Gpu {
  return "gpu" in backend ? (backend.gpu as Gpu) : leastGpu;
}

/** Says what training and decoding move from and to the slow memory of a GPU. Nothing is run. */
export function sayTraffic({ model, compiled, shape }: Watched, gpu: Gpu, terminal: Terminal): void {
  const captured = (make: () => { free(): void }) => {
    const before = compiled.length;
    make().free();
    return compiled.slice(before).map(({ plan }) => trafficOf(plan, gpu));
  };
  const training = captured(() => {
    const trainer = new Trainer(model);
    trainer.plan(shape);
    return trainer;
  });
  const decoding = captured(() => new Decoder(model));
  const { batch, length } = shape;
  sayProgram(
    `a training step of ${counted(batch, "sequence")} of length ${count(length)}`,
    training,
    terminal,
  );
  sayProgram("decoding a token", decoding, terminal);
}

function sayProgram(program: string, parts: readonly Traffic[], terminal: Terminal): void {
  const sum = (what: "bytes" | "naiveBytes" | "dispatches") =>
    parts.reduce((all, part) => all + part[what], 0);
  const [moved, naive, dispatches] = [sum("bytes"), sum("naiveBytes"), sum("dispatches")];
  const kernels = parts.flatMap((part) => part.kernels);
  const rows = kernels.map((row) => [
    row.kernel,
    row.calls > 0 ? count(row.calls) : "",
    row.calls > 0 ? bytes(row.naiveBytes) : "",
    row.dispatches > 0 ? count(row.dispatches) : "",
    row.dispatches > 0 ? bytes(row.bytes) : "",
  ]);
  const [head, ...lines] = columns(
    [
      ["kernel", "calls", "bytes of simple ops", "dispatches", "bytes as dispatched"],
      ...rows,
      ["all", "", bytes(naive), count(dispatches), bytes(moved)],
    ],
    [1, 2, 3, 4],
  );
  terminal.say();
  terminal.say(terminal.colors.bold(`${program}, slow memory of a GPU`));
  terminal.say(terminal.colors.dim(head));
  for (const line of lines) terminal.say(line);
  terminal.say(
    `It moves ${bytes(moved)}; simple ops, each reading and writing slow memory, would move ${(naive / moved).toFixed(1)} times as much.`,
  );
  terminal.emit({ type: "traffic", program, kernels, dispatches, bytes: moved, naiveBytes: naive });
}
