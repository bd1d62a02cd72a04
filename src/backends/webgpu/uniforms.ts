const UNIFORM = 0x40; // GPUBufferUsage, which is a global in browsers only
const COPY_DST = 0x8;

/** Bytes from one set of uniforms to the next: the alignment that every device takes, and the most that a set may have. */
const stride = 256;

export interface UniformRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/**
 * The uniforms of single calls: a ring. What is written is seen by the work submitted after it, so a place may be
 * written again once the dispatches that read it are submitted: there are more places than dispatches that wait.
 */
export class UniformRing {
  readonly #device: GPUDevice;
  readonly #buffer: GPUBuffer;
  readonly #places: number;
  #next = 0;

  constructor(device: GPUDevice, places: number) {
    this.#device = device;
    this.#places = places;
    this.#buffer = device.createBuffer({ size: places * stride, usage: UNIFORM | COPY_DST });
  }

  place(words: readonly number[]): UniformRange {
    const offset = stride * (this.#next++ % this.#places);
    this.#device.queue.writeBuffer(this.#buffer, offset, wordsOf(words));
    return { buffer: this.#buffer, offset, size: 4 * words.length };
  }
}

/** The uniforms of a program, each set once, in a buffer of its own. */
export function placeUniforms(
  device: GPUDevice,
  sets: readonly (readonly number[])[],
): { buffer: GPUBuffer | null; ranges: (UniformRange | null)[] } {
  const offsets = new Map<string, number>();
  for (const words of sets) {
    if (words.length > 0 && !offsets.has(words.join())) offsets.set(words.join(), stride * offsets.size);
  }
  if (offsets.size === 0) return { buffer: null, ranges: sets.map(() => null) };
  const buffer = device.createBuffer({ size: stride * offsets.size, usage: UNIFORM | COPY_DST });
  for (const words of sets) {
    const offset = offsets.get(words.join());
    if (offset !== undefined) device.queue.writeBuffer(buffer, offset, wordsOf(words));
  }
  return {
    buffer,
    ranges: sets.map((words) => {
      const offset = offsets.get(words.join());
      return offset === undefined ? null : { buffer, offset, size: 4 * words.length };
    }),
  };
}

function wordsOf(words: readonly number[]): Int32Array<ArrayBuffer> {
  if (4 * words.length > stride) throw new Error(`internal: ${words.length} uniforms in one pass`);
  return Int32Array.from(words, (word) => word | 0);
}
