import type { Files } from "../../src/checkpoint/files.ts";
import { memoryFiles } from "../../src/checkpoint/memoryFiles.ts";

/** Files in memory that hold these bytes as m.safetensors. */
export async function holding(bytes: Uint8Array): Promise<Files> {
  const files = memoryFiles();
  await files.write("m.safetensors", bytes);
  return files;
}

/** The bytes of a safetensors file of this header, as it stands, and as many zeros of data. */
export function fileOf(header: string, dataSize: number, headerSize?: bigint): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataSize);
  new DataView(bytes.buffer).setBigUint64(0, headerSize ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
