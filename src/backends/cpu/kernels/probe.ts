import { type KernelSet, onePass } from "./table.ts";

/** The limits of the machine, measured by the means of all other kernels: `statewise bench` has their ops. */
export const readProbe: KernelSet = {
  symbols: ["readProbe"],
  sizes: ["size", "sliceLength", "streams", "repeats"],
  forward: {
    ...onePass("readProbe", ({ slices }) => slices),
    work: ({ size, repeats }) => size * repeats,
  },
};

/** A task is 160 floats: ten independent chains of the widest vectors, as many as hide the latency of an FMA. */
export const fmaProbe: KernelSet = {
  symbols: ["fmaProbe"],
  sizes: ["size", "repeats"],
  forward: {
    ...onePass("fmaProbe", ({ size }) => size / 160),
    work: ({ size, repeats }) => 2 * size * repeats,
  },
};
