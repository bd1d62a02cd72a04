import { type Device, type ParameterSource, random, type Shape, type Tensor } from "../../node.ts";

/** Numbers drawn before they repeat: speed depends on where numbers are, hardly on what they are. */
const drawn = 2 ** 16;

/** Parameters as the model draws them, but the large ones repeat: a model of 500 MB in a second. */
export function repeatingParameters(device: Device): ParameterSource {
  const source = random(0);
  return (_name, shape, draw) =>
    device.tensor(
      repeat(shape, (i) => draw(source, i)),
      shape,
    );
}

/** Numbers between `low` and `high`. */
export function uniform(device: Device, shape: Shape, low = -1, high = 1): Tensor {
  const source = random(1);
  return device.tensor(
    repeat(shape, () => low + (high - low) * source.uniform()),
    shape,
  );
}

function repeat(shape: Shape, draw: (i: number) => number): Float32Array {
  const length = shape.reduce((product, size) => product * size, 1);
  const values = new Float32Array(length);
  for (let i = 0; i < Math.min(length, drawn); i++) values[i] = draw(i);
  for (let at = drawn; at < length; at += drawn) values.copyWithin(at, 0, Math.min(drawn, length - at));
  return values;
}
