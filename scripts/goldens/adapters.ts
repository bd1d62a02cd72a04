import type { Adapter } from "./adapter.ts";
import { adamwSteps } from "./adamw.ts";
import { annotatedS4d, annotatedS4Dplr } from "./annotatedS4.ts";
import { causalConv1dCase } from "./causalConv1d.ts";
import { discretizeDense } from "./discretizeDense.ts";
import { discretizeDiag } from "./discretizeDiag.ts";
import { hippoLegSScale } from "./hippoLegSScale.ts";
import { hippoLti } from "./hippoLti.ts";
import { hippoTransition } from "./hippoTransition.ts";
import { lssl, lsslLayer } from "./lssl.ts";
import { mambaLm } from "./mambaLm.ts";
import { mambaTrain } from "./mambaTrain.ts";
import { nplrCase } from "./nplr.ts";
import { s4dInit } from "./s4dInit.ts";
import { s4dKernel } from "./s4dKernel.ts";
import { s4dLayer } from "./s4dLayer.ts";
import { s4BlockCase } from "./s4Block.ts";
import { s4DplrKernel } from "./s4DplrKernel.ts";
import { selectiveScanCase } from "./selectiveScan.ts";
import { selectiveStateUpdate } from "./selectiveStateUpdate.ts";
import { vandermondeCauchy } from "./vandermondeCauchy.ts";

/** The adapter of each kind of golden case. A kind that is not listed is reported as not covered. */
export const adapters: Readonly<Record<string, Adapter>> = {
  adamw: adamwSteps,
  annotated_s4_dplr: annotatedS4Dplr,
  annotated_s4d_kernel: annotatedS4d,
  causal_conv1d: causalConv1dCase,
  discretize_dense: discretizeDense,
  discretize_diag: discretizeDiag,
  hippo_legs_scale: hippoLegSScale,
  hippo_legt_lmu: hippoLti,
  hippo_lti: hippoLti,
  hippo_transition: hippoTransition,
  lssl,
  lssl_layer: lsslLayer,
  mamba_lm: mambaLm,
  mamba_train: mambaTrain,
  nplr: nplrCase,
  s4d_init: s4dInit,
  s4d_kernel: s4dKernel,
  s4d_layer: s4dLayer,
  s4_block: s4BlockCase,
  s4_dplr_kernel: s4DplrKernel,
  selective_scan: selectiveScanCase,
  selective_state_update: selectiveStateUpdate,
  vandermonde_cauchy: vandermondeCauchy,
};
