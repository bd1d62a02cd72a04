import { UsageError } from "../tensor/errors.ts";

/**
 * What a config holds under one name. Defaults, checks, the flag of the command line with its help, and what a file
 * may say all come from it.
 */
export interface Field<Value> {
  /** The paper's symbol and what it is. */
  readonly doc: string;
  readonly form: "integer" | "number" | "choice" | "switch";
  /** What can be chosen. */
  readonly names?: readonly string[];
  /** What a value must be, as errors and help say it. */
  readonly expected: string;
  /** The value when none is given; undefined where one must be, or where it follows from other fields. */
  readonly initial: Value | undefined;
  /** The initial value in words, where it follows from other fields. */
  readonly initially?: string;
  accepts(value: unknown): boolean;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The config that these fields describe. */
export type ConfigOf<Some extends Fields> = {
  readonly [Name in keyof Some]: Some[Name] extends Field<infer Value> ? Value : never;
};

/** A whole number of at least `least`, by default 1. */
export function whole(doc: string, initial?: number, least = 1): Field<number> {
  return {
    doc,
    form: "integer",
    expected: `a whole number of at least ${least}`,
    initial,
    accepts: (value) => Number.isSafeInteger(value) && Number(value) >= least,
  };
}

/** A number that is above 0. */
export function positive(doc: string, initial?: number): Field<number> {
  return {
    doc,
    form: "number",
    expected: "a number above 0",
    initial,
    accepts: (value) => typeof value === "number" && value > 0 && value < Infinity,
  };
}

/** Any number: where what it must be depends on others. */
export function real(doc: string, initial?: number): Field<number> {
  return { doc, form: "number", expected: "a number", initial, accepts: (value) => Number.isFinite(value) };
}

/** A number from 0 to, but not including, 1. */
export function fraction(doc: string, initial?: number): Field<number> {
  return {
    doc,
    form: "number",
    expected: "a number of at least 0 and below 1",
    initial,
    accepts: (value) => typeof value === "number" && value >= 0 && value < 1,
  };
}

export function oneOf<const Name extends string>(
  doc: string,
  names: readonly Name[],
  initial?: Name,
): Field<Name> {
  return {
    doc,
    names,
    form: "choice",
    expected: `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`,
    initial,
    accepts: (value) => names.some((name) => name === value),
  };
}

export function onOff(doc: string, initial: boolean): Field<boolean> {
  return {
    doc,
    form: "switch",
    expected: "true or false",
    initial,
    accepts: (value) => typeof value === "boolean",
  };
}

/** Fields with other initial values, where a model has its own. */
export function initially<Some extends Fields>(fields: Some, initial: Partial<ConfigOf<Some>>): Some {
  const changed = Object.entries(fields).map(([name, field]) => [
    name,
    Object.hasOwn(initial, name) ? { ...field, initial: initial[name] } : field,
  ]);
  return Object.fromEntries(changed) as Some; // the same names and types
}

/**
 * A config of exactly these fields: what is given, else the initial value. `who` is the model, for errors.
 * @throws UsageError that names the field, what it must be, and what was given.
 */
export function configOf<Some extends Fields>(
  who: string,
  fields: Some,
  given: Readonly<Partial<Record<keyof Some, unknown>>>,
): ConfigOf<Some> {
  const config: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = given[name] ?? field.initial;
    if (!field.accepts(value)) {
      throw new UsageError(`${who}: ${name} must be ${field.expected}, got ${inWords(value)}.`);
    }
    config[name] = value;
  }
  return config as ConfigOf<Some>; // every field accepted its value
}

/** A value for an error message, short whatever it is. */
function inWords(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
