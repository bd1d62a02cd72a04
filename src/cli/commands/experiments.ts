import type { Command } from "../command.ts";
import { experimentCommand } from "../reproduce/experiment.ts";

/** The experiments that train nothing. */
export const experimentCommands: readonly Command[] = [
  experimentCommand(
    "s4-speed",
    "Times a layer of LSSL against one of S4, forward and backward, and compares their memory (Table 2 of Gu et al. 2021).",
    async () => (await import("../reproduce/s4Speed.ts")).s4Speed,
  ),
  experimentCommand(
    "scan-speed",
    "Times the fused scan against a naive one, a convolution and attention, by length (Figure 8 of Gu & Dao 2023).",
    async () => (await import("../reproduce/scanSpeed.ts")).scanSpeed,
  ),
];
