import type { LanguageModel } from "../models/languageModel.ts";
import { trace } from "../tensor/capture.ts";

/**
 * Stores the weights that a model multiplies with as f16, half the memory, which is what decoding has to read for each
 * token; the device computes in its own float as before. Norms, A, D, Δ and the state stay as they are. For a model that
 * reads and writes: training needs all digits.
 * @returns how many numbers are stored so.
 * @throws DeviceError when the device stores no f16.
 */
export async function halveWeights(model: LanguageModel): Promise<number> {
  const { device } = model;
  const state = model.initialState(1);
  const tokens = device.integers([0], [1]);
  const calls = trace(device, () => model.step(tokens, state));
  const whole = new Set(
    calls.flatMap(({ op, inputs }) => inputs.filter((_, i) => !op.halves?.includes(op.inputs[i]))),
  );
  const weights = new Set(
    calls.flatMap(({ op, inputs }) => inputs.filter((_, i) => op.halves?.includes(op.inputs[i]))),
  );
  let stored = 0;
  for (const parameter of model.parameters.values()) {
    if (!weights.has(parameter.buffer) || whole.has(parameter.buffer)) continue;
    await parameter.store("f16");
    stored += parameter.buffer.length;
  }
  for (const tensor of [tokens, ...state.flatMap((layer) => Object.values(layer))]) tensor.free();
  return stored;
}
