/**
 * The commands of the program: their arguments, options and help.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { EXIT, UsageError } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

/** The name of the program in its help. */
export const PROGRAM = "qtalk";

/** An option of a command. */
export interface OptionSpec {
  /** Whether it takes a value. */
  readonly type: "string" | "boolean";
  /** Whether it may be given several times; its value is then an array. */
  readonly multiple?: boolean;
  /** Its short form, one letter. */
  readonly short?: string;
  /** The name of its value in the help. */
  readonly value?: string;
  /** Its description in the help. */
  readonly about: string;
}

/** The options of a command, by name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The values of the options, `undefined` for those not given. */
export type OptionValues<O extends OptionSpecs> = {
  readonly [K in keyof O]: O[K]["type"] extends "boolean" ? boolean
    : O[K]["multiple"] extends true ? readonly string[] | undefined
    : string | undefined;
};

/** A parsed command line. */
export interface Invocation<O extends OptionSpecs> {
  /** The positional arguments. */
  readonly words: readonly string[];
  /** The options. */
  readonly options: OptionValues<O>;
  /** Where the command writes. */
  readonly terminal: Terminal;
}

/** The definition of a command. */
export interface Definition<O extends OptionSpecs> {
  /** Its name on the command line. */
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Its forms, without the name of the program. */
  readonly usage: readonly string[];
  /** The rest of its help. */
  readonly about: string;
  /** Its options, except `--help`. */
  readonly options: O;
  /** Runs the command; resolves to the exit code. */
  run(invocation: Invocation<O>): Promise<number>;
}

/** A command. */
export interface Command {
  /** Its name on the command line. */
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Its usage lines. */
  readonly usage: string;
  /** The text that `--help` prints. */
  readonly help: string;
  /**
   * Runs the command; resolves to the exit code.
   *
   * @throws {UsageError} if the arguments are not valid
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** The option of every command. */
const HELP = { type: "boolean", short: "h", about: "print this help" } as const;

/** Makes a command from its definition. */
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
      terminal.flags = Object.keys(options);
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

/** The value of an option. */
export type OptionValue = string | boolean | readonly string[];

/** Arguments that begin with a dash and are not options. */
const NEGATIVE_NUMBER = /^-\.?\d/;
/** Hides them from the parser. No argument of a process can contain it. */
const MARK = "\0";

/** Parses arguments. A negative number is an argument, not an option. */
export function parse(
  args: readonly string[],
  options: OptionSpecs,
): { words: string[]; values: Record<string, OptionValue> } {
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
    Array.isArray(value)
      ? value.map((one) => typeof one === "string" ? unmark(one) : one)
      : typeof value === "string"
      ? unmark(value)
      : value,
  ]);
  return {
    words: parsed.positionals.map(unmark),
    values: Object.fromEntries(values),
  };
}

/** The usage lines for the forms of a command. */
export function usageOf(forms: readonly string[]): string {
  return `Usage: ${forms.join("\n       ")}`;
}

/** The help on options, in two columns. */
export function optionHelp(options: OptionSpecs): string {
  return twoColumns(
    Object.entries(options).map(([name, { short, value, about }]) => [
      `${short ? `-${short}, ` : ""}--${name}${value ? ` ${value}` : ""}`,
      about,
    ]),
  );
}

/** Names and their meaning, in two columns. */
export function twoColumns(
  rows: readonly (readonly [string, string])[],
): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, about]) => `  ${name.padEnd(width)}  ${about}`)
    .join("\n");
}

/**
 * Parses the value of an option that is a number above 0.
 *
 * @throws {UsageError} if it is not such a number
 */
export function positive(
  name: string,
  text: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw new UsageError(
    `Cannot use --${name}: "${text}" is not a number above 0`,
  );
}

/**
 * Parses the value of an option that is a number of seconds, which may be 0.
 *
 * @returns milliseconds
 * @throws {UsageError} if it is not such a number
 */
export function seconds(
  name: string,
  text: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= MAX_SECONDS) {
    return value * 1_000;
  }
  throw new UsageError(
    `Cannot use --${name}: "${text}" is not a number from 0 to ${MAX_SECONDS}`,
  );
}

/** The most seconds that a timer can wait. */
const MAX_SECONDS = 2_147_483;

/**
 * Parses the value of an option that is a whole number of at least 1.
 *
 * @throws {UsageError} if it is not such a number
 */
export function count(
  name: string,
  text: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(
    `Cannot use --${name}: "${text}" is not a whole number above 0`,
  );
}
