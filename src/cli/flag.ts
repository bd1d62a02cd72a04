import type { Field } from "../node.ts";

/**
 * One flag of the command line. Parsing, help, error messages, docs/cli.md and the settings in a run's config.json
 * all come from it.
 */
export interface Flag<Value> {
  readonly doc: string;
  /** What stands for the value in help, such as N or FILE; null for a flag that is just given or not. */
  readonly placeholder: string | null;
  /** What a value must be, as errors and docs say it. */
  readonly expected: string;
  /** The value when the flag is not given. */
  readonly initial: Value;
  /** The initial value in words, where the value itself does not say it. */
  readonly initially?: string;
  /** True when the flag may be given several times, each value added to a list. */
  readonly repeats: boolean;
  /** The heading in help. */
  readonly group?: string;
  /** What the text of one value means; `accepts` tells whether it is right. */
  read(text: string): unknown;
  /** Whether this, one value from the command line or from a config.json, is what is expected. */
  accepts(value: unknown): boolean;
}

/** The flags of a command, by their name in camel case. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What the flags were given, or initially are. */
export type Values<Some extends Flags> = {
  readonly [Name in keyof Some]: Some[Name] extends Flag<infer Value> ? Value : never;
};

export interface Range {
  readonly least?: number;
  readonly above?: number;
  readonly most?: number;
  readonly below?: number;
}

/** A whole number, by default of at least 1. */
export function integer<Initial extends number | undefined>(
  doc: string,
  initial: Initial,
  range: Range = { least: 1 },
): Flag<number | Initial> {
  return {
    doc,
    placeholder: "N",
    expected: `a whole number${inWords(range)}`,
    initial,
    repeats: false,
    read: numberOf,
    accepts: (value) => Number.isSafeInteger(value) && isWithin(Number(value), range),
  };
}

export function number<Initial extends number | undefined>(
  doc: string,
  initial: Initial,
  range: Range,
): Flag<number | Initial> {
  return {
    doc,
    placeholder: "X",
    expected: `a number${inWords(range)}`,
    initial,
    repeats: false,
    read: numberOf,
    accepts: (value) => typeof value === "number" && isWithin(value, range),
  };
}

export function choice<const Name extends string, const Initial extends Name | undefined>(
  doc: string,
  placeholder: string,
  names: readonly Name[],
  initial: Initial,
): Flag<Name | Initial> {
  const expected =
    names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : String(names[0]);
  return {
    doc: `${doc}: ${expected}`,
    placeholder,
    expected,
    initial,
    repeats: false,
    read: (text) => text,
    accepts: (value) => names.some((name) => name === value),
  };
}

export function text<Initial extends string | undefined>(
  doc: string,
  placeholder: string,
  initial: Initial,
): Flag<string | Initial> {
  return {
    doc,
    placeholder,
    expected: "a text of at least one character",
    initial,
    repeats: false,
    read: (text) => text,
    accepts: (value) => typeof value === "string" && value !== "",
  };
}

/** A flag without a value: given or not. */
export function toggle(doc: string): Flag<boolean> {
  return {
    doc,
    placeholder: null,
    expected: "true or false",
    initial: false,
    repeats: false,
    read: () => true,
    accepts: (value) => typeof value === "boolean",
  };
}

/** The flag of a config's field, without an initial value: what is not given is as the model has it. */
export function ofField(field: Field<unknown>): Flag<unknown> {
  const { doc, form, names, expected, initially = String(field.initial) } = field;
  return {
    doc: names ? `${doc}: ${expected}` : doc,
    placeholder: { integer: "N", number: "X", choice: "NAME", switch: null }[form],
    expected,
    initial: undefined,
    ...(form !== "switch" && { initially }),
    repeats: false,
    read: form === "choice" ? (text) => text : form === "switch" ? () => true : numberOf,
    accepts: field.accepts,
  };
}

/** A flag that may be given several times. */
export function many<Value>(flag: Flag<Value | undefined>): Flag<readonly Value[]> {
  return { ...flag, initial: [], repeats: true };
}

/** The flags under one heading of the help. */
export function group<Some extends Flags>(heading: string, flags: Some): Some {
  const grouped = Object.entries(flags).map(([name, flag]) => [name, { ...flag, group: heading }]);
  return Object.fromEntries(grouped) as Some; // the same names and values
}

/** The flags with other initial values, where a command has its own. */
export function withInitial<Some extends Flags>(flags: Some, initial: Partial<Values<Some>>): Some {
  const changed = Object.entries(flags).map(([name, flag]) => {
    if (!Object.hasOwn(initial, name)) return [name, flag];
    const { initially: _, ...rest } = flag;
    return [name, { ...rest, initial: initial[name] }];
  });
  return Object.fromEntries(changed) as Some; // the same names and values
}

/** dState → --d-state */
export function spelled(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** How help shows the initial value; null where there is nothing to say. */
export function initialOf(flag: Flag<unknown>): string | null {
  if (flag.initially !== undefined) return flag.initially;
  const { initial } = flag;
  if (initial === undefined || initial === false || (Array.isArray(initial) && initial.length === 0))
    return null;
  return String(initial);
}

function numberOf(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}

function isWithin(value: number, { least, above, most, below }: Range): boolean {
  if (Number.isNaN(value)) return false;
  if (least !== undefined && value < least) return false;
  if (above !== undefined && value <= above) return false;
  if (most !== undefined && value > most) return false;
  return below === undefined || value < below;
}

function inWords({ least, above, most, below }: Range): string {
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`;
  const bounds = [
    least !== undefined && `of at least ${least}`,
    above !== undefined && `above ${above}`,
    most !== undefined && `of at most ${most}`,
    below !== undefined && below < Infinity && `below ${below}`,
  ].filter((bound) => bound !== false);
  return bounds.length > 0 ? ` ${bounds.join(" and ")}` : "";
}
