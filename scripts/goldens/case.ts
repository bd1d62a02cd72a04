import { z } from "zod";
import type { Files } from "../../src/checkpoint/files.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { StoredNumbers } from "../../src/checkpoint/storage.ts";
import { FormatError } from "../../src/tensor/errors.ts";

/** A tensor as it stands in a golden file or leaves an adapter. */
export interface Values {
  readonly shape: readonly number[];
  /** Row-major. A Float32Array says "computed in float32": it decides which tolerance applies. */
  readonly data: StoredNumbers;
}

const tolerance = z.object({ rtol: z.number(), atol: z.number() });

const tensorNote = z.object({
  shape: z.array(z.int().nonnegative()),
  ref_f32_rel_to_max: z.number().optional(),
  tol_f32: tolerance.optional(),
  tol_f64: tolerance.optional(),
  f32_unreliable: z.boolean().optional(),
});

const description = z.object({
  kind: z.string(),
  config: z.record(z.string(), z.unknown()),
  tensors: z.record(z.string(), tensorNote),
});

/** What the description of a case says of one tensor. */
export type TensorNote = z.infer<typeof tensorNote>;

/** One golden case: `<name>.json`, its description, and `<name>.safetensors`, its tensors, read when asked for. */
export interface GoldenCase {
  readonly name: string;
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The folder that holds the case. */
  readonly files: Files;
  /** Where in `files` the checkpoint of the case is, for the kinds that have one. */
  readonly modelFolder: string;
  /** The names of the inputs, without their `in.`. */
  readonly inputs: readonly string[];
  /** The tensors to compute: all but the inputs. */
  readonly expected: readonly string[];
  note(name: string): TensorNote | undefined;
  /** The tensor of this full name. @throws FormatError when it is missing or has another shape than described. */
  read(name: string): Promise<Values>;
  /** The input `in.<name>`. */
  input(name: string): Promise<Values>;
  /** The input `in.<name>`, or null where the case has none. */
  optionalInput(name: string): Promise<Values | null>;
}

/** The kind of the case `name`. @throws FormatError when its description is missing, not JSON, or has no kind. */
export async function readKind(files: Files, name: string): Promise<string> {
  return (await readDescription(files, name, z.object({ kind: z.string() }))).kind;
}

/** Opens the case `name`. @throws FormatError when its description or its tensor file is missing or damaged. */
export async function openCase(files: Files, name: string): Promise<GoldenCase> {
  const { kind, config, tensors } = await readDescription(files, name, description);
  const stored = await openSafetensors(files, `${name}.safetensors`);
  const names = [...new Set([...Object.keys(tensors), ...stored.names])];
  const inputs = names
    .filter((tensor) => tensor.startsWith("in."))
    .map((tensor) => tensor.slice("in.".length));
  const note = (tensor: string) => (Object.hasOwn(tensors, tensor) ? tensors[tensor] : undefined);

  const read = async (tensor: string): Promise<Values> => {
    const values = await stored.read(tensor);
    const [described, actual] = [note(tensor)?.shape ?? values.shape, values.shape];
    if (described.join() === actual.join()) return values;
    throw new FormatError(
      `${name}.safetensors: ${tensor} must be (${described.join(", ")}) as ${name}.json says, got (${actual.join(", ")}).`,
    );
  };
  return {
    name,
    kind,
    config,
    files,
    modelFolder: typeof config.model_dir === "string" ? config.model_dir : name,
    inputs,
    expected: names.filter((tensor) => !tensor.startsWith("in.")),
    note,
    read,
    input: (input) => read(`in.${input}`),
    optionalInput: async (input) => (inputs.includes(input) ? read(`in.${input}`) : null),
  };
}

/** The config of a case, as the adapter of its kind needs it. @throws FormatError when it is not. */
export function configOf<Schema extends z.ZodType>(golden: GoldenCase, schema: Schema): z.infer<Schema> {
  const result = schema.safeParse(golden.config);
  if (result.success) return result.data;
  const problem = z.prettifyError(result.error);
  throw new FormatError(
    `${golden.name}.json: the config must be one of kind ${golden.kind}, got\n${problem}`,
  );
}

async function readDescription<Schema extends z.ZodType>(
  files: Files,
  name: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = new TextDecoder().decode(await files.read(`${name}.json`));
  const result = schema.safeParse(parseJson(name, text));
  if (result.success) return result.data;
  throw new FormatError(`${name}.json: must describe a golden case, got\n${z.prettifyError(result.error)}`);
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${name}.json: must be JSON, got other text (${String(error)}).`);
  }
}
