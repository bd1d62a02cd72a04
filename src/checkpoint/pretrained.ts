/**
 * Mamba-1 under the names and layouts of Hugging Face (MambaForCausalLM): the only place that knows them.
 *
 * Official linear weights are (out, in), ours (in, out); the official conv1d.weight is (dInner, 1, dConv), ours
 * (dConv, dInner); in_proj stacks our inX over inZ. So every official tensor is one or two of ours, transposed, one
 * below the other.
 */
import type { Model } from "../models/backbone.ts";
import { LanguageModel } from "../models/languageModel.ts";
import { type MambaConfig, mambaConfig, mambaFields } from "../models/mamba.ts";
import { FormatError } from "../tensor/errors.ts";
import type { Shape } from "../tensor/shape.ts";

/** Fields that the official config cannot say: a model where one is not as initially is stored as we do. */
const unsayable = [
  "norm",
  "normPlace",
  "dropout",
  "feedForward",
  "ssm",
  "constantB",
  "constantC",
  "constantDelta",
] as const;

/** Whether the official code has such a model. */
export function isOfficial(model: Model): model is LanguageModel<MambaConfig> {
  const { config } = model;
  if (!(model instanceof LanguageModel) || config.model !== "mamba") return false;
  const own = config as MambaConfig; // as the model's name says
  return unsayable.every((name) => own[name] === mambaFields[name].initial);
}

/** An official tensor and the parameters it is made of. */
export interface Mapping {
  readonly official: string;
  readonly ours: readonly string[];
  readonly shape: Shape;
}

/** Every tensor of an official checkpoint of this model, in the order of the model. */
export function mappings(config: MambaConfig): Mapping[] {
  const { vocabulary, dModel, layers, dState, dConv, dtRank, expand, bias, convBias, tiedHead } = config;
  const dInner = expand * dModel;
  const map = (official: string, ours: string[], ...shape: number[]): Mapping => ({ official, ours, shape });
  const block = (i: number): Mapping[] => {
    const official = `backbone.layers.${i}.mixer`;
    const own = (...names: string[]) => names.map((name) => `layers.${i}.mixer.${name}`);
    return [
      map(`backbone.layers.${i}.norm.weight`, [`layers.${i}.norm`], dModel),
      map(`${official}.in_proj.weight`, own("inX", "inZ"), 2 * dInner, dModel),
      ...(bias ? [map(`${official}.in_proj.bias`, own("inXBias", "inZBias"), 2 * dInner)] : []),
      map(`${official}.conv1d.weight`, own("convWeight"), dInner, 1, dConv),
      ...(convBias ? [map(`${official}.conv1d.bias`, own("convBias"), dInner)] : []),
      map(`${official}.x_proj.weight`, own("xProj"), dtRank + 2 * dState, dInner),
      map(`${official}.dt_proj.weight`, own("dtProj"), dInner, dtRank),
      map(`${official}.dt_proj.bias`, own("deltaBias"), dInner),
      map(`${official}.A_log`, own("logA"), dInner, dState),
      map(`${official}.D`, own("D"), dInner),
      map(`${official}.out_proj.weight`, own("out"), dModel, dInner),
      ...(bias ? [map(`${official}.out_proj.bias`, own("outBias"), dModel)] : []),
    ];
  };
  return [
    map("backbone.embeddings.weight", ["embedding"], vocabulary, dModel),
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    map("backbone.norm_f.weight", ["norm"], dModel),
    ...(tiedHead ? [] : [map("lm_head.weight", ["head"], vocabulary, dModel)]),
  ];
}

/** Our parameters, row-major, out of an official tensor: each part's rows, transposed. */
export function fromOfficial({ ours, shape }: Mapping, values: ArrayLike<number>): Map<string, Float32Array> {
  const [rows, columns] = asMatrix(shape);
  const part = rows / ours.length;
  return new Map(
    ours.map((name, p) => {
      const own = new Float32Array(part * columns);
      for (let r = 0; r < part; r++) {
        for (let c = 0; c < columns; c++) own[c * part + r] = values[(p * part + r) * columns + c];
      }
      return [name, own];
    }),
  );
}

/** The official tensor made of our parameters. */
export function toOfficial({ shape }: Mapping, parts: readonly ArrayLike<number>[]): Float32Array {
  const [rows, columns] = asMatrix(shape);
  const part = rows / parts.length;
  const values = new Float32Array(rows * columns);
  for (const [p, own] of parts.entries()) {
    for (let r = 0; r < part; r++) {
      for (let c = 0; c < columns; c++) values[(p * part + r) * columns + c] = own[c * part + r];
    }
  }
  return values;
}

/** Rows and the product of the other sizes; a vector is a matrix of one column. */
function asMatrix([rows, ...rest]: Shape): [number, number] {
  return [rows, rest.reduce((a, b) => a * b, 1)];
}

/** The official config.json of a model, with the fields that transformers reads. */
export function officialConfig(config: MambaConfig): Record<string, unknown> {
  const { vocabulary, dModel, layers, dState, dConv, dtRank, expand, bias, convBias } = config;
  const { normEpsilon, tiedHead, deltaMin, deltaMax } = config;
  return {
    architectures: ["MambaForCausalLM"],
    model_type: "mamba",
    vocab_size: vocabulary,
    hidden_size: dModel,
    intermediate_size: expand * dModel,
    num_hidden_layers: layers,
    state_size: dState,
    conv_kernel: dConv,
    expand,
    time_step_rank: dtRank,
    layer_norm_epsilon: normEpsilon,
    use_bias: bias,
    use_conv_bias: convBias,
    hidden_act: "silu",
    residual_in_fp32: true,
    tie_word_embeddings: tiedHead,
    time_step_min: deltaMin,
    time_step_max: deltaMax,
    torch_dtype: "float32",
  };
}

/** The shapes of a checkpoint's tensors, by official name. */
export type Shapes = ReadonlyMap<string, Shape>;

/**
 * The model that these tensors make. Sizes come from the shapes, because published configs get them wrong; what the
 * config says otherwise is listed in `notes`. `where` is the file, for errors.
 */
export function configFromShapes(
  where: string,
  shapes: Shapes,
  official: ReadonlyMap<string, unknown>,
): { config: MambaConfig; notes: string[] } {
  const type = official.get("model_type");
  if (type !== undefined && type !== "mamba") {
    throw new FormatError(
      `${where}: model_type must be "mamba", got ${JSON.stringify(type)}. Other models cannot be read yet.`,
    );
  }
  const shapeOf = (name: string, rank: number): Shape => {
    const shape = shapes.get(name);
    if (!shape) {
      const hint = shapes.has("backbone.layers.0.mixer.norm.weight")
        ? "Is this a Mamba-2 checkpoint?"
        : "Is it a Mamba?";
      throw new FormatError(`${where}: no tensor "${name}". ${hint}`);
    }
    if (shape.length !== rank) {
      throw new FormatError(`${where}: "${name}" must have ${rank} axes, got shape (${shape.join(", ")}).`);
    }
    return shape;
  };
  const [vocabulary, dModel] = shapeOf("backbone.embeddings.weight", 2);
  const mixer = "backbone.layers.0.mixer";
  const [dInner, dState] = shapeOf(`${mixer}.A_log`, 2);
  const [, dtRank] = shapeOf(`${mixer}.dt_proj.weight`, 2);
  const [, , dConv] = shapeOf(`${mixer}.conv1d.weight`, 3);
  const layerNumbers = [...shapes.keys()].map((name) =>
    Number(/^backbone\.layers\.(\d+)\./.exec(name)?.[1] ?? -1),
  );
  const layers = layerNumbers.reduce((a, b) => Math.max(a, b), -1) + 1;
  if (layers > shapes.size) {
    throw new FormatError(
      `${where}: names layer ${layers - 1} but holds only ${shapes.size} tensors. Is it complete?`,
    );
  }
  const normEpsilon = official.get("layer_norm_epsilon") ?? 1e-5;
  if (typeof normEpsilon !== "number" || !(normEpsilon >= 0 && normEpsilon < 1)) {
    throw new FormatError(
      `${where}: layer_norm_epsilon must be a small number, got ${JSON.stringify(normEpsilon)}.`,
    );
  }
  const config = mambaConfig({
    vocabulary,
    dModel,
    layers,
    dState,
    dConv,
    dtRank,
    expand: dInner / dModel,
    bias: shapes.has(`${mixer}.in_proj.bias`),
    convBias: shapes.has(`${mixer}.conv1d.bias`),
    tiedHead: !shapes.has("lm_head.weight"),
    normEpsilon,
    ...stepSizes(official),
  });
  const notes = Object.entries(officialConfig(config))
    .filter(([name, ours]) =>
      typeof ours === "number" || typeof ours === "boolean"
        ? official.has(name) && official.get(name) !== ours
        : false,
    )
    .map(
      ([name, ours]) =>
        `config.json says ${name} ${JSON.stringify(official.get(name))}, the tensors say ${String(ours)}`,
    );
  return { config, notes };
}

/** The range that Δ began in: of no consequence for a trained model, kept where a config says it. */
function stepSizes(official: ReadonlyMap<string, unknown>): Partial<MambaConfig> {
  const deltaMin = official.get("time_step_min");
  const deltaMax = official.get("time_step_max");
  if (typeof deltaMin !== "number" || typeof deltaMax !== "number") return {};
  return deltaMin > 0 && deltaMin <= deltaMax ? { deltaMin, deltaMax } : {};
}
