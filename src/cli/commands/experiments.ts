import type { Command } from "../command.ts";
import { experimentCommand } from "../reproduce/experiment.ts";

/** The experiments that train nothing. */
export const experimentCommands: readonly Command[] = [
  experimentCommand(
    "hippo",
    "Holds a signal of up to a million samples in N numbers, and stretches it (HiPPO, arXiv 2008.07669).",
    async () => (await import("../reproduce/hippo.ts")).hippo,
  ),
  experimentCommand(
    "stability",
    "Shows why S4 needs NPLR, Λ − P P* and the bilinear rule (arXiv 2111.00396, 2202.09729).",
    async () => (await import("../reproduce/stability.ts")).stability,
  ),
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
  experimentCommand(
    "scaling",
    "A Transformer, Mamba and S4 by length: time and memory of a forward pass and of a generated token.",
    async () => (await import("../reproduce/scaling.ts")).scaling(),
  ),
];
