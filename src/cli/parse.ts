import { Command as Parser, CommanderError, Option } from "commander";
import { UsageError } from "../node.ts";
import { type Command, type Invocation, speakerOf } from "./command.ts";
import { type Flag, type Flags, initialOf, spelled } from "./flag.ts";
import type { Colors } from "./terminal.ts";

/** A command as the command line asks for it. */
export interface Call {
  readonly command: Command;
  readonly given: Omit<Invocation<Flags>, "terminal">;
}

/** What to print instead of running a command. */
export interface Help {
  readonly help: string;
}

export interface ParseOptions {
  readonly commands: readonly Command[];
  readonly groups: Readonly<Record<string, string>>;
  readonly version: string;
  readonly colors: Colors;
  readonly width?: number;
}

/**
 * Understands a command line.
 * @throws UsageError that names the flag or word that is wrong, and the one that may have been meant.
 */
export function parse(args: readonly string[], options: ParseOptions): Call | Help {
  let call: Call | null = null;
  let written = "";
  const write = (text: string) => (written += text);
  const program = buildProgram(options, write, (found) => (call = found));
  try {
    program.parse(args.length > 0 ? args : ["--help"], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed" || error.code === "commander.version")
      return { help: written };
    const speaker = options.commands.map(speakerOf).find((name) => name === args[0]) ?? "statewise";
    throw new UsageError(`${speaker}: ${inOurWords(error, args, options.commands)}`);
  }
  if (call === null) throw new Error("internal: the parser found no command");
  return call;
}

function buildProgram(
  options: ParseOptions,
  write: (text: string) => void,
  found: (call: Call) => void,
): Parser {
  const { commands, groups, version, colors, width } = options;
  const program = new Parser("statewise")
    .description("State space models that train and run, on kernels of their own.")
    .usage("<command> [flags]")
    .optionsGroup("Flags:")
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write, getOutHasColors: () => true }) // `colors` decides
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("after", examples)
    .configureHelp({
      ...(width !== undefined && { helpWidth: width }),
      styleTitle: colors.bold,
      styleOptionTerm: colors.cyan,
      styleSubcommandTerm: colors.cyan,
      styleArgumentTerm: colors.cyan,
      subcommandTerm: (command) => command.name(),
      optionDescription: (option) =>
        option.description +
        (option.defaultValueDescription ? ` (default: ${option.defaultValueDescription})` : ""),
    });
  const parents = new Map<string, Parser>();
  const parentOf = (first: string): Parser => {
    const known = parents.get(first);
    if (known) return known;
    const parent = program.command(first).description(groups[first]).usage("<command> [flags]");
    parents.set(first, parent.helpCommand(false).optionsGroup("Flags:"));
    return parent;
  };
  for (const command of commands) {
    const [first, second] = command.name.split(" ");
    if (second === undefined) addCommand(program, first, command, found);
    else addCommand(parentOf(first), second, command, found);
  }
  return program;
}

const examples = `
Examples:
  statewise reproduce induction-heads
  statewise train text --file shakespeare.txt
  statewise generate --run text --prompt "O Romeo, "
  statewise train --help`;

function addCommand(parent: Parser, word: string, command: Command, found: (call: Call) => void): void {
  const { argument } = command;
  const usage = argument ? `[${argument.name}] [flags]` : "[flags]";
  const parser = parent.command(word).description(command.doc).usage(usage).optionsGroup("Flags:");
  if (command.details !== undefined) parser.addHelpText("after", `\n${command.details}`);
  if (argument) parser.argument(`[${argument.name}]`, argument.doc);
  parser.allowExcessArguments(); // so that the error below can name the word
  for (const [name, flag] of Object.entries(command.flags)) parser.addOption(optionOf(command, name, flag));
  parser.action(() => {
    const [word, excess] = argument ? parser.args : [undefined, ...parser.args];
    if (excess !== undefined) {
      throw new UsageError(
        `${speakerOf(command)}: unexpected word ${excess}. See statewise ${command.name} --help.`,
      );
    }
    const values = Object.fromEntries(
      Object.entries(command.flags).map(([name, { initial }]) => [
        name,
        parser.getOptionValue(name) ?? initial,
      ]),
    );
    const given = new Set(Object.keys(values).filter((name) => parser.getOptionValueSource(name) === "cli"));
    found({ command, given: { values, given, argument: word } });
  });
}

function optionOf(command: Command, name: string, flag: Flag<unknown>): Option {
  const { placeholder, repeats } = flag;
  const value = placeholder === null ? "" : ` <${placeholder}${repeats ? "..." : ""}>`;
  const option = new Option(`${spelled(name)}${value}`, flag.doc);
  const initial = initialOf(flag);
  if (initial !== null) option.default(undefined, initial);
  if (flag.group !== undefined) option.helpGroup(`${flag.group}:`);
  if (placeholder === null) return option;
  return option.argParser((text: string, before: unknown) => {
    const value = flag.read(text);
    if (!flag.accepts(value)) {
      throw new UsageError(
        `${speakerOf(command)}: ${spelled(name)} must be ${flag.expected}, got ${text === "" ? "nothing" : text}.`,
      );
    }
    return repeats ? [...(Array.isArray(before) ? before : []), value] : value;
  });
}

function inOurWords(error: CommanderError, args: readonly string[], commands: readonly Command[]): string {
  const [what] = /'[^']*'/.exec(error.message) ?? [""];
  const word = what.slice(1, -1);
  const suggestion = /\((Did you mean .*\?)\)/.exec(error.message)?.[1];
  const path = commands.find(({ name }) => name === args.slice(0, 2).join(" "))?.name ?? args[0];
  const help = `See statewise ${commands.some(({ name }) => name.split(" ")[0] === args[0]) ? `${path} ` : ""}--help.`;
  switch (error.code) {
    case "commander.unknownOption":
      return `unknown flag ${word}. ${suggestion ?? help}`;
    case "commander.unknownCommand":
      return `unknown command ${word}. ${suggestion ?? `Choose one of ${choicesBelow(args[0], commands)}.`}`;
    case "commander.optionMissingArgument":
      return `${word.split(" ")[0]} needs a value. ${help}`;
    case "commander.help":
      return `which one? Choose one of ${choicesBelow(args[0], commands)}.`;
    default:
      return `${error.message.replace(/^error: /, "")}. ${help}`;
  }
}

/** The second words after this first one, else all first words. */
function choicesBelow(first: string, commands: readonly Command[]): string {
  const words = commands.map(({ name }) => name.split(" "));
  const second = words.filter((words) => words[0] === first).map((words) => words[1]);
  return [...new Set(second.length > 0 ? second : words.map((words) => words[0]))].join(", ");
}
