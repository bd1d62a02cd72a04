import { silu } from "../ops/activation.ts";
import { mul } from "../ops/arithmetic.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Mixer } from "./backbone.ts";
import { type ConfigOf, configOf, oneOf } from "./config.ts";
import type { NamedTensors, ParameterSource } from "./layers.ts";
import { S4, s4Fields, s4SsmParameters } from "./s4.ts";
import { S4D, s4dFields, s4dSsmParameters } from "./s4d.ts";
import { S6, s6Fields } from "./s6.ts";

/**
 * The SSM in a block that may hold any, so that the rows of Table 1 of Gu & Dao 2023 can be built. Those that do not
 * select take N and the range of Δ from the block's config, the rest as in their own papers.
 */
export const ssmFields = {
  ssm: oneOf("the SSM in the block", ["s6", "s4", "s4d"], "s6"),
  ...s6Fields,
  filterLength: s4Fields.filterLength,
};

type SsmConfig = ConfigOf<typeof ssmFields>;

/** Of all of them; those of S6 are trained like any other parameter, but for a constant B. */
export const ssmParameters = [...new Set([...s4SsmParameters, ...s4dSsmParameters])];

const makers: Record<
  SsmConfig["ssm"],
  (config: SsmConfig, channels: number, source: ParameterSource) => Mixer
> = {
  s6: (config, channels, source) => new S6(config, channels, source),
  s4: ({ dState, filterLength, deltaMin, deltaMax }, channels, source) =>
    new S4(configOf("ssm", s4Fields, { dState, filterLength, deltaMin, deltaMax }), channels, source),
  s4d: ({ dState, deltaMin, deltaMax }, channels, source) =>
    new S4D(configOf("ssm", s4dFields, { dState, deltaMin, deltaMax }), channels, source),
};

/** The SSM that the config asks for, one system for each of `channels`. */
export function createSsm(config: SsmConfig, channels: number, source: ParameterSource): Mixer {
  return makers[config.ssm](config, channels, source);
}

/** y = ssm(v) ⊙ silu(z): v, z, y (batch, length, channels). */
export type Gated = (
  v: Tensor,
  z: Tensor,
  state?: NamedTensors,
  resets?: Tensor,
) => ReturnType<Mixer["forward"]>;

/** An SSM with the gate behind it; S6 does both at once. */
export function gated(ssm: Mixer): Gated {
  if (ssm instanceof S6) return (v, z, state, resets) => ssm.gated(v, z, state, resets);
  return (v, z, state, resets) => {
    const next = ssm.forward(v, state, resets);
    return { ...next, y: mul(next.y, silu(z)) };
  };
}
