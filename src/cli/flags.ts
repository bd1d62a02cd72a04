/** Every flag of every command, declared once. A command takes groups of them, with its own initial values. */
import { deviceNames, type Field, modelKinds, oneOf, normalizations } from "../node.ts";
import { splitFlag } from "./split.ts";
import { choice, type Flag, group, integer, many, number, ofField, text, toggle } from "./flag.ts";

export const modelFlags = group("Model", {
  model: choice(
    "what is in the blocks",
    "NAME",
    modelKinds.map(({ name }) => name),
    "mamba",
  ),
  dModel: integer("D, width of the residual stream", 64),
  layers: integer("number of blocks", 2),
});

/** What else the models have, each under the name it has in its config. */
export const fieldFlags = group("Model", flagsOfFields());

export const vocabularyFlag = group("Task", {
  vocabulary: integer("how many tokens there are, the special ones included", 16, { least: 3 }),
});

export const memorizeFlag = group("Task", {
  memorize: integer("how many data tokens a sequence holds", 16),
});

export const textFlags = group("Task", {
  file: text("the text to learn, read as bytes", "FILE", undefined),
  validationFraction: number("part of the text, its end, that is kept for validation", 0.1, {
    above: 0,
    below: 1,
  }),
});

const csvFlag = {
  csv: text("a CSV file whose first row names the columns", "FILE", undefined),
};

const inputsFlag = {
  inputs: many(text("columns that the model sees beside the target", "COL", undefined)),
};

export const seriesFlags = group("Task", csvFlag);

export const forecastFlags = group("Task", {
  ...csvFlag,
  target: many(
    text(
      "column to forecast; several share the model, each a sequence of its own; all takes every number",
      "COL",
      undefined,
    ),
  ),
  ...inputsFlag,
  horizon: integer("rows that are forecast", 24),
  context: integer("rows that the model has read when it forecasts", 96),
  season: integer("rows of a season, 24 for hours of a day: for the seasonal naive forecast and MASE", 1),
  split: splitFlag,
  relativeTo: choice("what the model sees and says the target relative to", "NAME", normalizations, "mean"),
});

export const followFlags = group("Task", {
  follow: toggle("answer rows from standard input, one by one, as they come"),
});

export const classifyFlags = group("Task", {
  ...csvFlag,
  id: text("column that says which sequence a row of --csv belongs to", "COL", "id"),
  label: text("column that says the class of a sequence of --csv", "COL", "label"),
  folder: text(
    "a folder with a subfolder for each class, and in it a CSV file for each sequence",
    "DIR",
    undefined,
  ),
  images: text("images as an IDX file, such as MNIST's, each a sequence of pixels", "FILE", undefined),
  labels: text("the classes of --images, as an IDX file", "FILE", undefined),
  permuted: toggle("the pixels of --images in another order, the same for all (drawn from --seed)"),
  inputs: {
    ...many(text("columns of numbers that the model sees", "COL", undefined)),
    initially: "all that begin with a number",
  },
  validationFraction: number("part of the sequences of each class that is kept for validation", 0.2, {
    above: 0,
    below: 1,
  }),
});

export const trainingFlags = group("Training", {
  steps: integer("updates of the parameters", 1000),
  batch: integer("sequences per update and per piece of an accumulated one", 32),
  length: integer("positions of a sequence", 64),
  accumulation: integer("batches whose gradients make one update", 1),
  learningRate: number("the highest rate", 1e-3, { above: 0, below: Infinity }),
  ssmLearningRate: number("the highest rate of A, B and Δ, where the model trains them apart", 1e-3, {
    above: 0,
    below: Infinity,
  }),
  warmup: integer("steps over which the rate rises from 0", 0, { least: 0 }),
  schedule: choice("how the rate goes on after the warm-up", "NAME", ["constant", "cosine"], "constant"),
  weightDecay: number("decay of the matrices, as in AdamW", 0, { least: 0, below: Infinity }),
  beta1: number("decay of the first moment", 0.9, { least: 0, below: 1 }),
  beta2: number("decay of the second moment", 0.95, { least: 0, below: 1 }),
  clip: number("norm to which a larger gradient is scaled down; Infinity never does", 1, { above: 0 }),
  seed: integer("the same seed gives the same run, bit for bit", 0, { least: 0 }),
});

/** These say when to look and to save; a run that goes on may change them. */
export const rhythmFlags = group("Training", {
  evaluateEvery: integer("steps between evaluations on validation data; 0 for none", 0, { least: 0 }),
  evaluationBatches: integer("batches of an evaluation", 4),
  checkpointEvery: integer("steps between checkpoints; the last step always makes one", 250),
});

export const runFlags = group("Run", {
  name: text("what the run is called; the same name again resumes it", "NAME", undefined),
  runs: text("where the runs are", "DIR", "runs"),
  fresh: toggle("begin anew; a run of the same name is moved aside, never deleted"),
});

export const deviceFlags = group("Device", {
  device: {
    ...choice("what computes", "NAME", deviceNames, undefined),
    initially: "STATEWISE_DEVICE, else native, wasm or plain: the first that works",
  },
  threads: {
    ...integer("threads of a CPU device", undefined, { least: 1, most: 256 }),
    initially: "one per core",
  },
});

export const weightFlags = group("Device", {
  weights: choice(
    "how the weights of products are stored; f16 halves what a token reads, on webgpu and plain",
    "NAME",
    ["f32", "f16"],
    "f32",
  ),
});

export const outputFlags = group("Output", {
  json: toggle("one JSON object a line, for programs"),
});

export const sourceFlags = group("Source", {
  run: text("a run, by its name or its directory", "RUN", undefined),
  runs: text("where the runs are", "DIR", "runs"),
});

export const modelSourceFlags = group("Source", {
  ...sourceFlags,
  model: text("a directory with config.json and model.safetensors", "DIR", undefined),
});

export const samplingFlags = group("Generation", {
  prompt: text("what to go on from; - reads it from standard input", "TEXT", undefined),
  maxTokens: integer("tokens to generate at the most", 256),
  stop: many(text("text that ends the generation and is not shown", "TEXT", undefined)),
  temperature: number("logits are divided by it; 0 takes the most likely token", 1, {
    least: 0,
    below: Infinity,
  }),
  topK: { ...integer("keep the N most likely tokens", 0, { least: 0 }), initially: "0, all" },
  topP: {
    ...number("keep the fewest tokens whose probabilities reach X", 1, { above: 0, most: 1 }),
    initially: "1, all",
  },
  minP: {
    ...number("keep tokens at least X times as likely as the likeliest", 0, { least: 0, most: 1 }),
    initially: "0, all",
  },
  repetitionPenalty: number("makes the last 64 tokens less likely", 1, { above: 0, below: Infinity }),
  seed: integer("the same seed, prompt and model give the same text", 0, { least: 0 }),
});

export const evaluationFlags = group("Evaluation", {
  length: {
    ...many(integer("tokens of a sequence; several give several rows", undefined)),
    initially: "as trained",
  },
  batches: integer("validation batches per length", 16),
  rate: {
    ...number(
      "changes the step size Δ by this factor, as if sampled at 1/X of the rate (S4 family)",
      undefined,
      {
        above: 0,
        below: Infinity,
      },
    ),
    initially: "1, as trained",
  },
  batch: { ...integer("sequences per batch", undefined), initially: "as trained" },
});

export const planFlags = group("Memory plan", {
  batch: { ...integer("sequences per update", undefined), initially: "as trained" },
  length: { ...integer("tokens of a sequence", undefined), initially: "as trained" },
  traffic: toggle(
    "what a step and a token move in a GPU's slow memory, fused and as simple ops; needs no GPU",
  ),
});

export const benchFlags = group("Bench", {
  quick: toggle("small sizes, a second in all: shows that it works, not how fast it is"),
});

export const experimentFlags = group("Experiment", {
  paper: toggle("the paper's settings in full; without it, a selection that takes minutes"),
});

/** A flag for each field of any model, but for those that have one already or that are on unless a file says otherwise. */
function flagsOfFields(): Record<string, Flag<unknown>> {
  const owners = new Map<string, { kind: string; field: Field<unknown> }[]>();
  for (const { name: kind, fields } of modelKinds) {
    for (const [name, field] of Object.entries(fields)) {
      if (name in modelFlags || (field.form === "switch" && field.initial === true)) continue;
      owners.set(name, [...(owners.get(name) ?? []), { kind, field }]);
    }
  }
  return Object.fromEntries([...owners].map(([name, of]) => [name, flagOfFields(of)]));
}

/** The flag of a field that several models have: it takes what any of them takes, their configs are more exact. */
function flagOfFields(of: readonly { kind: string; field: Field<unknown> }[]): Flag<unknown> {
  const fields = of.map(({ field }) => field);
  const names = [...new Set(fields.flatMap(({ names = [] }) => names))];
  const { expected } = names.length > 0 ? oneOf("", names) : fields[0];
  const flag = ofField({
    ...fields[0],
    expected,
    accepts: (value) => fields.some((field) => field.accepts(value)),
  });
  const initial = fields.map((field) => ofField(field).initially);
  const distinct = [...new Set(initial)];
  const ownersOf = (words: string | undefined) =>
    of.filter((_, i) => initial[i] === words).map(({ kind }) => kind);
  const each = distinct.map((words) => `${words} (${ownersOf(words).join(", ")})`).join("; ");
  const whose = of.length < modelKinds.length ? ` (${of.map(({ kind }) => kind).join(", ")})` : "";
  return { ...flag, doc: flag.doc + whose, ...(distinct.length > 1 && { initially: each }) };
}
