import picocolors from "picocolors";

export type Colors = ReturnType<typeof picocolors.createColors>;

/** A stream as Node gives it for standard output and error. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** One line at the bottom that is drawn over itself. */
export interface LiveLine {
  /** Columns that are there. */
  readonly width: number;
  readonly colors: Colors;
  update(text: string): void;
  clear(): void;
}

/**
 * Where a command speaks: to a person, or with --json to a program, one object a line. A command says everything both
 * ways, and one of them is silent. Escape codes go to a terminal only, and with NO_COLOR none that colour.
 */
export class Terminal {
  readonly json: boolean;
  /** For what `say` says. */
  readonly colors: Colors;
  /** Whether a person watches standard output. */
  readonly interactive: boolean;
  readonly #out: OutputStream;
  readonly #error: OutputStream;
  #live: LiveLine | null = null;

  constructor(out: OutputStream, error: OutputStream, json: boolean) {
    this.#out = out;
    this.#error = error;
    this.json = json;
    this.interactive = out.isTTY === true && !json;
    this.colors = colorsOf(out);
  }

  /** A line for a person. */
  say(line = ""): void {
    if (this.json) return;
    this.#live?.clear();
    this.#out.write(`${line}\n`);
  }

  /** Text for a person, as it comes. */
  write(text: string): void {
    if (!this.json) this.#out.write(text);
  }

  /** A line for a program. */
  emit(value: object): void {
    if (this.json) this.#out.write(`${JSON.stringify(value)}\n`);
  }

  /** A line that is not a result: a warning, a note. */
  note(line: string): void {
    this.#live?.clear();
    this.#error.write(`${line}\n`);
  }

  /** A note that only a watching person wants. */
  aside(line: string): void {
    if (this.#error.isTTY) this.note(colorsOf(this.#error).dim(line));
  }

  /**
   * A line that is drawn over itself, where a person watches: on standard output, or beside --json that goes elsewhere
   * on standard error. Null where nobody does.
   */
  async liveLine(): Promise<LiveLine | null> {
    const beside = this.#error.isTTY && !this.#out.isTTY ? this.#error : null;
    const stream = this.json ? beside : this.#out;
    if (!stream?.isTTY || process.env.TERM === "dumb") return null;
    const { createLogUpdate } = await import("log-update"); // 80 ms that only a terminal pays for
    // The cursor stays: hiding it would need a handler of every signal to show it again.
    const render = createLogUpdate(stream as NodeJS.WriteStream, { showCursor: true });
    this.#live = {
      get width() {
        return stream.columns ?? 80;
      },
      colors: colorsOf(stream),
      update: render,
      clear: render.clear,
    };
    return this.#live;
  }
}

function colorsOf(stream: OutputStream): Colors {
  const plain = !stream.isTTY || Boolean(process.env.NO_COLOR) || process.env.TERM === "dumb";
  return picocolors.createColors(!plain);
}
