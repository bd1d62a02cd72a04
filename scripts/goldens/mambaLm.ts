import { z } from "zod";
import type { LanguageModel } from "../../src/models/languageModel.ts";
import type { MambaConfig } from "../../src/models/mamba.ts";
import type { NamedTensors } from "../../src/models/layers.ts";
import { crossEntropy } from "../../src/ops/crossEntropy.ts";
import { concat, slice } from "../../src/ops/reshape.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { gradients } from "../../src/tensor/autograd.ts";
import { reshape } from "../../src/tensor/reshape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Context } from "./adapter.ts";
import { configOf, type GoldenCase, type Values } from "./case.ts";
import { download, permute, stack } from "./layout.ts";
import { loadMamba, nextTokens, toOfficial } from "./official.ts";

const config = z.object({ n_generate: z.int().nonnegative().default(0) });

type State = readonly NamedTensors[];

/** Kind `mamba_lm`: a checkpoint's logits, residual streams, loss, gradients, states, and greedy continuation. */
export async function mambaLm(golden: GoldenCase, { device }: Context): Promise<Record<string, Values>> {
  const { n_generate: count } = configOf(golden, config);
  const model = await loadMamba(golden, device);
  const ids = await golden.input("input_ids");
  const tokens = device.integers(ids.data, ids.shape); // (batch, length)

  const hidden: Tensor[] = [];
  const prompt = model.forward(tokens, {
    state: model.initialState(ids.shape[0]),
    observe: (_name, value) => hidden.push(value),
  });
  const results: Record<string, Values> = {
    "out.logits": await download(prompt.logits),
    ...(await lossAndGradients(model, tokens, device.integers(nextTokens(ids), ids.shape))),
    ...(await describeState("", stateBefore(model, ids), prompt.state)),
    ...(await generate(model, prompt, count)),
  };
  for (const [i, value] of hidden.entries()) results[`out.hidden.${i}`] = await download(value);
  return results;
}

async function lossAndGradients(
  model: LanguageModel<MambaConfig>,
  tokens: Tensor,
  targets: Tensor,
): Promise<Record<string, Values>> {
  const parameters = [...model.parameters];
  const { value, gradients: found } = gradients(
    parameters.map(([, tensor]) => tensor),
    () => crossEntropy(model.forward(tokens).logits, targets),
  );
  const results: Record<string, Values> = { "out.loss": await download(value) };
  const named = new Map(
    parameters.flatMap(([name, tensor]) => {
      const gradient = found.get(tensor);
      return gradient ? [[name, gradient]] : [];
    }),
  );
  for (const [name, values] of await toOfficial(model.config, named)) results[`grad.${name}`] = values;
  return results;
}

/** Greedy by recurrence: `count` tokens, the logits each was picked from, and the states once all have been read. */
async function generate(
  model: LanguageModel<MambaConfig>,
  prompt: { logits: Tensor; state: State },
  count: number,
): Promise<Record<string, Values>> {
  if (count === 0) return {};
  const [batch, length, vocabulary] = prompt.logits.shape;
  const picked: Values[] = [];
  const logitsOf: Values[] = [];
  let logits = reshape(slice(prompt.logits, 1, length - 1, length), [batch, vocabulary]);
  let [before, state] = [prompt.state, prompt.state];
  for (let i = 0; i < count; i++) {
    const tokens = argmax(logits);
    picked.push(await download(tokens));
    logitsOf.push(await download(logits));
    before = state;
    ({ logits, state } = model.step(tokens, state));
  }
  return {
    "out.gen_tokens": permute(stack(picked), [1, 0]),
    "out.gen_logits": permute(stack(logitsOf), [1, 0, 2]),
    ...(await describeState("_after_gen", before, state)),
  };
}

/** The state one token before the end of the prompt `ids` (batch, length). */
function stateBefore(model: LanguageModel<MambaConfig>, { shape: [batch, length], data }: Values): State {
  const state = model.initialState(batch);
  if (length === 1) return state;
  const allButLast = data.filter((_, i) => (i + 1) % length !== 0);
  return model.forward(model.device.integers(allButLast, [batch, length - 1]), { state }).state;
}

/**
 * The states in the official layout, (layers, batch, dInner, …). The official convolution keeps one input more than
 * ours: the oldest of the state one token `before`.
 */
async function describeState(suffix: string, before: State, after: State): Promise<Record<string, Values>> {
  const channelsFirst = async (tensor: Tensor) => permute(await download(tensor), [0, 2, 1]);
  const conv: Values[] = [];
  const ssm: Values[] = [];
  for (const [i, layer] of after.entries()) {
    conv.push(await channelsFirst(concat([slice(before[i].conv, 1, 0, 1), layer.conv], 1)));
    ssm.push(await channelsFirst(layer.ssm));
  }
  return { [`out.conv_state${suffix}`]: stack(conv), [`out.ssm_state${suffix}`]: stack(ssm) };
}
