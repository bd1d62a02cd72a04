import { DeviceError } from "../../../tensor/errors.ts";
import type { Sizes } from "../../../tensor/op.ts";
import type { KernelSet } from "./table.ts";

/** CONV_CHANNELS, CONV_STEPS and CONV_MOST of causalConv1d.c, and COLUMNS of rows.h. */
const channelsOfTask = 64;
const stepsOfTask = 256;
const mostTaps = 16;
const columnsOfTask = 32;

export const causalConv1d: KernelSet = {
  symbols: ["causalConv1dForward", "causalConv1dBackward", "causalConv1dSums"],
  sizes: ["batch", "length", "channels", "dConv", "silu"],
  forward: {
    passes(sizes) {
      const tasks = expectTaps(sizes).batch * blocks(sizes) * Math.ceil(sizes.length / stepsOfTask);
      return [{ symbol: "causalConv1dForward", tasks }];
    },
    work: ({ batch, length, channels, dConv }) => batch * length * channels * (1 + dConv / 4),
  },
  backward: {
    passes(sizes) {
      const { batch, channels, dConv } = expectTaps(sizes);
      return [
        { symbol: "causalConv1dBackward", tasks: batch * blocks(sizes) },
        { symbol: "causalConv1dSums", tasks: Math.ceil((dConv * channels) / columnsOfTask) },
      ];
    },
    scratch: ({ batch, channels, dConv }) => batch * (dConv + 1) * channels,
    work: ({ batch, length, channels, dConv }) => batch * length * channels * (2 + dConv / 2),
  },
};

function blocks({ channels }: Sizes): number {
  return Math.ceil(channels / channelsOfTask);
}

function expectTaps(sizes: Sizes): Sizes {
  if (sizes.dConv <= mostTaps) return sizes;
  throw new DeviceError(
    `cpu: causalConv1d has kernels for up to ${mostTaps} taps, got ${sizes.dConv}. Use the plain device.`,
  );
}
