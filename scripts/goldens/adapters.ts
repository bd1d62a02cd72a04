import type { Adapter } from "./adapter.ts";
import { adamwSteps } from "./adamw.ts";
import { causalConv1dCase } from "./causalConv1d.ts";
import { discretizeDense } from "./discretizeDense.ts";
import { discretizeDiag } from "./discretizeDiag.ts";
import { mambaLm } from "./mambaLm.ts";
import { mambaTrain } from "./mambaTrain.ts";
import { selectiveScanCase } from "./selectiveScan.ts";
import { selectiveStateUpdate } from "./selectiveStateUpdate.ts";

/** The adapter of each kind of golden case. A kind that is not listed is reported as not covered. */
export const adapters: Readonly<Record<string, Adapter>> = {
  adamw: adamwSteps,
  causal_conv1d: causalConv1dCase,
  discretize_dense: discretizeDense,
  discretize_diag: discretizeDiag,
  mamba_lm: mambaLm,
  mamba_train: mambaTrain,
  selective_scan: selectiveScanCase,
  selective_state_update: selectiveStateUpdate,
};
