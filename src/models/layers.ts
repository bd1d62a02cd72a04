import { random, type Random } from "../math/random.ts";
import { assign } from "../ops/assign.ts";
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
    for (const [name, tensor] of Object.entries(layer)) assign(tensor, next[i][name]);
  }
}
