import type { Device } from "../../src/tensor/device.ts";
import type { GoldenCase, Values } from "./case.ts";

/** Where an adapter computes. Its precision is the device's: `device.float`. */
export interface Context {
  readonly device: Device;
}

/**
 * Computes what a golden case expects, with this project's code, and returns it under the case's names and in its
 * layouts (`out.y`, `grad.u`, …). A tensor left out is reported as not covered; one the case lacks is ignored.
 */
export type Adapter = (golden: GoldenCase, context: Context) => Promise<Record<string, Values>>;
