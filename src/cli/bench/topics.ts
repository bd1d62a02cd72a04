import { attention } from "./attention.ts";
import { conv } from "./conv.ts";
import { decode } from "./decode.ts";
import { fft } from "./fft.ts";
import { filter } from "./filter.ts";
import { gemm } from "./gemm.ts";
import { gemv } from "./gemv.ts";
import { kernels } from "./kernels.ts";
import { memory } from "./memory.ts";
import { prefill } from "./prefill.ts";
import { scan } from "./scan.ts";
import { start } from "./start.ts";
import type { Topic } from "./topic.ts";
import { train } from "./train.ts";

/** What `statewise bench` can measure, by name: the machine first, then the kernels, then whole models. */
export const topics: Readonly<Record<string, Topic>> = {
  memory,
  gemm,
  gemv,
  conv,
  scan,
  attention,
  fft,
  filter,
  decode,
  prefill,
  train,
  kernels,
  start,
};
