import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet } from "./table.ts";

const steps = ({ batch, length, channels, N, readouts }: Sizes) =>
  batch * length * channels * N * (N + readouts);

/** A forward task is a channel of one sequence, the sequences of a channel side by side; a backward one a channel. */
export const denseScan: KernelSet = {
  symbols: ["denseScan", "denseScanBackward"],
  sizes: ["batch", "length", "channels", "N", "readouts"],
  forward: {
    passes: ({ batch, channels }) => [{ symbol: "denseScan", tasks: batch * channels }],
    scratch: ({ N }, { threads }) => threads * N * (N + 1),
    work: (sizes) => 2 * steps(sizes),
  },
  backward: {
    passes: ({ channels }) => [{ symbol: "denseScanBackward", tasks: channels }],
    scratch: ({ length, N, readouts }, { threads }) =>
      threads * (2 * N * N + (2 * length + readouts + 3) * N),
    work: (sizes) => 6 * steps(sizes),
  },
};
