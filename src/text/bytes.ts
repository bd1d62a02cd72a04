/** The UTF-8 bytes of a text, one token each: a vocabulary of 256. Half a surrogate pair becomes U+FFFD, as in TextEncoder. */
export function encode(text: string): Int32Array {
  return Int32Array.from(new TextEncoder().encode(text));
}

/** The text of whole bytes: `encode` undone. Invalid bytes become U+FFFD, as in TextDecoder; a byte order mark stays. */
export function decode(tokens: ArrayLike<number>): string {
  return newDecoder().decode(Uint8Array.from(tokens, expectByte));
}

/**
 * Text from bytes that come one at a time: says a character once its last byte is there, and never half of one.
 * All that was said, joined, is `decode` of all the bytes.
 */
export class Utf8Stream {
  readonly #decoder = newDecoder();

  /**
   * The characters that this byte completes: none, one, or two where it also shows the bytes before to be invalid.
   * @throws RangeError for a token that is not a byte.
   */
  push(token: number): string {
    return this.#decoder.decode(Uint8Array.of(expectByte(token)), { stream: true });
  }

  /** The end of the text: U+FFFD for a character cut short, if any. The stream then begins anew. */
  flush(): string {
    return this.#decoder.decode();
  }
}

const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

function expectByte(token: number): number {
  if (Number.isInteger(token) && token >= 0 && token <= 255) return token;
  throw new RangeError(
    `text: a token must be a byte, 0 to 255, got ${token}. Was the model trained on bytes?`,
  );
}
