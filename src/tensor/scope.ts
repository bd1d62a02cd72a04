import type { Buffer } from "./backend.ts";
import type { Device } from "./device.ts";
import { tensorsIn } from "./tensor.ts";

/**
 * Runs `fn` and gives back the memory of every tensor made inside, except those in its result (a tensor, or arrays,
 * maps and plain objects of them). Without a scope, memory comes back when the tensors are garbage collected.
 */
export function scope<Result>(device: Device, fn: () => Result): Result {
  const outer = device.allocated;
  const inside = new Set<Buffer>();
  device.allocated = inside;
  try {
    const result = fn();
    for (const { buffer } of tensorsIn(result)) {
      if (inside.delete(buffer)) outer?.add(buffer);
    }
    return result;
  } finally {
    device.allocated = outer;
    for (const buffer of inside) device.backend.free(buffer);
  }
}
