import { random, type Random } from "../math/random.ts";
import { add } from "../ops/arithmetic.ts";
import { assign } from "../ops/assign.ts";
import { layerNorm } from "../ops/layerNorm.ts";
import { matmul } from "../ops/matmul.ts";
import { rmsNorm } from "../ops/rmsNorm.ts";
import type { Device } from "../tensor/device.ts";
import { elementsOf, type Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Draws element `i` of a parameter. */
export type Draw = (random: Random, i: number) => number;

/** Where a model's parameters come from: drawn at random, or read from a checkpoint. */
export type ParameterSource = (name: string, shape: Shape, draw: Draw) => Tensor;

/** Tensors by name: the parameters of a model, or the state of a layer. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/**
 * Fresh parameters on `device`. Each is drawn from a stream of its own, keyed by its name: the same seed gives a
 * parameter the same numbers whatever else the model has.
 */
export function randomParameters(device: Device, seed: number): ParameterSource {
  return (name, shape, draw) => {
    const stream = random(seed, hashOf(name));
    return device.tensor(
      Float32Array.from({ length: elementsOf(shape) }, (_, i) => draw(stream, i)),
      shape,
    );
  };
}

/** FNV-1a over the characters of a name: 32 bits. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193); // a character has one
  return hash >>> 0;
}

export function constant(value: number): Draw {
  return () => value;
}

/** Uniform in ±1/√fanIn: what PyTorch gives a linear or convolution layer. */
export function fanIn(inputs: number, gain = 1): Draw {
  const bound = gain / Math.sqrt(inputs);
  return (random) => (2 * random.uniform() - 1) * bound;
}

export function normal(deviation: number): Draw {
  return (random) => deviation * random.normal();
}

/** Copies a new state over the old one, so that the next replay of a program begins where this one ends. */
export function carryState(old: readonly NamedTensors[], next: readonly NamedTensors[]): void {
  for (const [i, layer] of old.entries()) {
    for (const [name, tensor] of Object.entries(layer)) {
      if (next[i][name] !== tensor) assign(tensor, next[i][name]); // a cache grows in place
    }
  }
}

/** u weight + bias: u (…, inputs), weight (inputs, outputs), bias (outputs). */
export function linear(u: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const product = matmul(u, weight);
  return bias ? add(product, bias) : product;
}

/** Acts on the last axis, (…, dModel). */
export type Norm = (x: Tensor) => Tensor;

export const normNames = ["rms", "layer"] as const;

/** A norm with parameters of its own, under `name`; LayerNorm has a bias besides, `name`Bias. */
export function norm(
  kind: (typeof normNames)[number],
  source: ParameterSource,
  name: string,
  dModel: number,
  epsilon: number,
): Norm {
  const gain = source(name, [dModel], constant(1));
  if (kind === "rms") return (x) => rmsNorm(x, gain, epsilon);
  const bias = source(`${name}Bias`, [dModel], constant(0));
  return (x) => layerNorm(x, gain, bias, epsilon);
}

/** A source that also notes down, under `names`, every parameter it gives. */
export function collecting(source: ParameterSource, names: Map<string, Tensor>): ParameterSource {
  return (name, shape, draw) => {
    const tensor = source(name, shape, draw);
    names.set(name, tensor);
    return tensor;
  };
}

/** A source for a part of a model: its names begin with `prefix`. */
export function within(prefix: string, source: ParameterSource): ParameterSource {
  return (name, shape, draw) => source(`${prefix}.${name}`, shape, draw);
}
