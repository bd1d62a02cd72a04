import { FormatError } from "../tensor/errors.ts";
import { isPath, join, type Files } from "./files.ts";
import { damaged, fieldsOf, parseObject, quote } from "./json.ts";
import { noTensor, openSafetensors, type StoredTensors } from "./safetensors.ts";

const wholeFile = "model.safetensors";
const indexFile = "model.safetensors.index.json";
const longestIndex = 100_000_000;

/**
 * The tensors of a checkpoint directory in the Hugging Face layout: `model.safetensors`, or the shards named in
 * `model.safetensors.index.json`. Of these, what the index does not name stays unread.
 * @param directory "" for the root of `files`.
 * @throws FormatError when there is neither, or a file is damaged, or index and shards disagree.
 */
export async function openCheckpoint(files: Files, directory: string): Promise<StoredTensors> {
  if ((await files.size(join(directory, wholeFile))) !== null) {
    return openSafetensors(files, join(directory, wholeFile));
  }
  const path = join(directory, indexFile);
  const size = await files.size(path);
  if (size !== null) return openShards(files, directory, path, size);
  const listed = await files.list(directory);
  throw new FormatError(
    `${directory || "the directory"}: must hold ${wholeFile} or ${indexFile}, got ${quote(listed)}. ` +
      `Is this the directory of a checkpoint?`,
  );
}

async function openShards(
  files: Files,
  directory: string,
  path: string,
  size: number,
): Promise<StoredTensors> {
  if (size > longestIndex) {
    throw new FormatError(`${path}: must be at most ${longestIndex} bytes long, got ${size}. ${damaged}`);
  }
  const index = parseObject(`${path}: the index`, await files.read(path));
  const shards = new Map<string, StoredTensors>();
  const places = new Map<string, StoredTensors>();
  for (const [name, file] of weightMap(path, index.get("weight_map"))) {
    const shard = shards.get(file) ?? (await openShard(files, directory, path, file));
    shards.set(file, shard);
    places.set(name, shard);
  }
  const held = new Map([...shards.values()].map((shard) => [shard, new Set(shard.names)]));
  for (const [name, shard] of places) {
    if (held.get(shard)?.has(name)) continue;
    throw new FormatError(
      `${path}: tensor ${quote(name)} must be in ${shard.path}, got a shard without it. ` +
        `Download or save all files of the checkpoint again.`,
    );
  }

  const shardOf = (name: string) => {
    const shard = places.get(name);
    if (shard === undefined) throw noTensor(path, name, places.keys());
    return shard;
  };

  return {
    path: directory,
    names: [...places.keys()],
    metadata: textsOf(index.get("metadata")),
    info: (name) => shardOf(name).info(name),
    read: async (name) => shardOf(name).read(name),
  };
}

/** From each tensor's name to its file, as the index says. */
function weightMap(path: string, value: unknown): [name: string, file: string][] {
  const fields = fieldsOf(value);
  if (fields === null) {
    throw new FormatError(`${path}: weight_map must map tensors to files, got ${quote(value)}. ${damaged}`);
  }
  return [...fields].map(([name, file]) => {
    if (typeof file === "string" && isPath(file)) return [name, file];
    throw new FormatError(
      `${path}: tensor ${quote(name)} must be in a file below the same directory, got ${quote(file)}. ${damaged}`,
    );
  });
}

async function openShard(
  files: Files,
  directory: string,
  path: string,
  file: string,
): Promise<StoredTensors> {
  const shard = join(directory, file);
  if ((await files.size(shard)) !== null) return openSafetensors(files, shard);
  throw new FormatError(
    `${path}: the shard ${quote(file)} must lie beside it, got no such file. Download the missing file.`,
  );
}

/** The index's remarks as texts; unlike those of a safetensors file they may be numbers. */
function textsOf(value: unknown): Map<string, string> {
  const text = (remark: unknown) => (typeof remark === "string" ? remark : JSON.stringify(remark));
  return new Map([...(fieldsOf(value) ?? [])].map(([key, remark]) => [key, text(remark)]));
}
