/**
 * What a command is: its words, its options, its help.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { EXIT, UsageError } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

/** What the program is called in its own help. */
export const PROGRAM = "qtalk";

/** An option of a command. */
export interface OptionSpec {
  /** Whether it has a value. */
  readonly type: "string" | "boolean";
  /** Its one letter. */
  readonly short?: string;
  /** What its value is called in the help. */
  readonly value?: string;
  /** What it does, in the help. */
  readonly about: string;
}

/** The options of a command, by their names. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What a command line said of them. */
export type OptionValues<O extends OptionSpecs> = {
  readonly [K in keyof O]: O[K]["type"] extends "boolean" ? boolean
    : string | undefined;
};

/** A command line, parsed. */
export interface Invocation<O extends OptionSpecs> {
  /** What is no option, in order. */
  readonly words: readonly string[];
  /** The options given. */
  readonly options: OptionValues<O>;
  /** Where to write to. */
  readonly terminal: Terminal;
}

/** A command as its file defines it. */
export interface Definition<O extends OptionSpecs> {
  /** The word that it is called by. */
  readonly name: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** Its forms, without the program's name. */
  readonly usage: readonly string[];
  /** Everything else that its help says. */
  readonly about: string;
  /** Its options, `--help` aside. */
  readonly options: O;
  /** Runs it; resolves to the exit code. */
  run(invocation: Invocation<O>): Promise<number>;
}

/** A command to run. */
export interface Command {
  /** The word that it is called by. */
  readonly name: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** Its forms. */
  readonly usage: string;
  /** What `--help` prints. */
  readonly help: string;
  /**
   * Runs it; resolves to the exit code.
   *
   * @throws {UsageError} if the arguments make no sense
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** Every command has it. */
const HELP = { type: "boolean", short: "h", about: "print this" } as const;

/** Makes a command of its definition. */
export function defineCommand<const O extends OptionSpecs>(
  definition: Definition<O>,
): Command {
  const { name, summary } = definition;
  const options: OptionSpecs = { ...definition.options, help: HELP };
  return {
    name,
    summary,
    get usage() {
      return usageOf(definition.usage.map((form) => `${PROGRAM} ${form}`));
    },
    get help() {
      return [
        `${summary}.`,
        this.usage,
        definition.about,
        `Options:\n\n${optionHelp(options)}`,
      ].join("\n\n");
    },
    async run(args, terminal) {
      const { words, values } = parse(args, options);
      if (values.help === true) {
        terminal.print(this.help);
        return EXIT.ok;
      }
      const given = Object.keys(definition.options).map((option) => [
        option,
        values[option] ??
          (options[option]!.type === "boolean" ? false : undefined),
      ]);
      return await definition.run({
        words,
        options: Object.fromEntries(given) as OptionValues<O>,
        terminal,
      });
    },
  };
}

/** Words that begin with a dash and are values all the same. */
const NEGATIVE_NUMBER = /^-\.?\d/;
/** Keeps them from the parser. No argument of a process can have it. */
const MARK = "\0";

/** Parses arguments; a number below zero is no option, but a word. */
export function parse(
  args: readonly string[],
  options: OptionSpecs,
): { words: string[]; values: Record<string, string | boolean> } {
  let parsed;
  try {
    parsed = parseArgs({
      args: args.map((arg) => NEGATIVE_NUMBER.test(arg) ? MARK + arg : arg),
      allowPositionals: true,
      options,
    });
  } catch (error) {
    const [sentence] = (error as Error).message.split(". ");
    throw new UsageError(sentence!.replace(MARK, ""), { cause: error });
  }
  const unmark = (text: string) => text.replace(MARK, "");
  const values = Object.entries(parsed.values).map(([name, value]) => [
    name,
    typeof value === "string" ? unmark(value) : value,
  ]);
  return {
    words: parsed.positionals.map(unmark),
    values: Object.fromEntries(values),
  };
}

/** Forms of a command, one below the other. */
export function usageOf(forms: readonly string[]): string {
  return `Usage: ${forms.join("\n       ")}`;
}

/** The options and what they do, in two columns. */
export function optionHelp(options: OptionSpecs): string {
  return twoColumns(
    Object.entries(options).map(([name, { short, value, about }]) => [
      `${short ? `-${short}, ` : ""}--${name}${value ? ` ${value}` : ""}`,
      about,
    ]),
  );
}

/** Names and what they mean, in two columns. */
export function twoColumns(
  rows: readonly (readonly [string, string])[],
): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, about]) => `  ${name.padEnd(width)}  ${about}`)
    .join("\n");
}

/**
 * The number that an option has for its value.
 *
 * @throws {UsageError} if it is none above zero
 */
export function positive(
  name: string,
  text: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw new UsageError(`Cannot use --${name}: "${text}" is no number above 0`);
}
