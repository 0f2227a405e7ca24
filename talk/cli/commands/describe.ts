import type {
  DescribedMethod,
  DescribedValue,
  ServiceDescription,
} from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";
import {
  ASK_OPTIONS,
  fetchDescription,
} from "../description/ask_description.ts";
import { defineCommand, positive } from "../command.ts";
import { EXIT, NotDescribed, UsageError } from "../exit_code.ts";
import { methodText } from "../description/method_text.ts";
import { splitAddress } from "../options/target.ts";
import type { Terminal } from "../terminal.ts";
import { formatValue, highlight } from "../value_text.ts";

/** `qtalk describe`. */
export const describe = defineCommand({
  name: "describe",
  summary: "Prints what can be called at an address",
  usage: ["describe ADDRESS [SELECTOR]"],
  about: `Asks the server to describe itself, as qtalk serve and programs with
withReflection() can: its name and version, and its methods with their arguments
and results, as far as these are known. With a SELECTOR, prints that method with
its schemas, or the methods of that group.

  qtalk describe tcp://127.0.0.1:9999
  qtalk describe tcp://127.0.0.1:9999 math.add
  qtalk describe tcp://127.0.0.1:9999 --json | jq .methods[].selector`,
  options: {
    json: { type: "boolean", about: "print the description as a line of JSON" },
    ...ASK_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const { address, selector } = describedTarget(words, "describe");
    const seconds = positive("timeout", options.timeout);
    const description = await fetchDescription(
      { address, selector },
      seconds,
      options,
      terminal,
    );
    if (options.json) {
      terminal.print(
        highlight(
          formatValue(description),
          (style, text) => terminal.onResult(style, text),
        ),
      );
      return EXIT.ok;
    }
    if (selector !== undefined && description.methods.length === 0) {
      throw new NotDescribed(
        `Cannot describe "${selector}": the service has no such method`,
      );
    }
    for (const line of linesOf(description, selector, terminal)) {
      terminal.print(line);
    }
    return EXIT.ok;
  },
});

/**
 * Parses `ADDRESS [SELECTOR]` or `ADDRESS/Selector`.
 *
 * @throws {UsageError} if that is not what the words are
 */
export function describedTarget(
  words: readonly string[],
  what: string,
): { address: string; selector: string | undefined } {
  const [first, ...rest] = words;
  if (first === undefined) {
    throw new UsageError(`Cannot ${what}: there is no address`);
  }
  const { address, selector } = splitAddress(first);
  const selectors = selector === undefined ? rest : [selector, ...rest];
  if (selectors.length > 1) {
    throw new UsageError(
      `Cannot ${what}: expected one selector, got ${selectors.length}`,
    );
  }
  return { address, selector: selectors[0] };
}

/** A description for people. */
function* linesOf(
  { name, version, doc, methods }: ServiceDescription,
  selector: string | undefined,
  terminal: Terminal,
): Generator<string> {
  if (selector === undefined) {
    const title = [name ?? "service without a name", version ?? ""].join(" ");
    yield terminal.onResult("bold", printableText(title.trimEnd()));
    yield* textLines(doc, "");
    yield "";
    if (methods.length === 0) yield "It has no methods.";
  }
  const width = Math.max(
    0,
    ...methods.map((method) => lengthOf(method)).filter((length) =>
      length <= MAX_COLUMN
    ),
  );
  for (const method of methods) {
    const { name, signature } = methodText(method);
    const colour = terminal.onResult("cyan", name);
    const [summary, ...more] = textLines(method.doc, "");
    const missing = width - lengthOf(method);
    const gap = missing < 0 ? "\n    " : " ".repeat(missing + 2);
    yield `${colour}${signature}${summary === undefined ? "" : gap + summary}`;
    if (methods.length > 1) continue;
    for (const line of more) yield line;
    yield* details(method);
  }
}

/** Longer signatures do not push the column of the summaries. */
const MAX_COLUMN = 48;

function lengthOf(method: DescribedMethod): number {
  const { name, signature } = methodText(method);
  return name.length + signature.length;
}

/** What one line has no place for. */
function* details(
  { args = [], rest, result, meta, errors }: DescribedMethod,
): Generator<string> {
  const rows: [string, unknown][] = args.map((argument, i) => [
    `argument ${i + 1}`,
    known(argument),
  ]);
  rows.push(
    ["further arguments", known(rest)],
    ["result", known(result)],
    ["metadata", known(meta)],
  );
  for (const [code, details] of Object.entries(errors ?? {})) {
    rows.push([`error "${printableText(code)}"`, known(details) ?? {}]);
  }
  const rowsToPrint = rows.filter(([, value]) => value !== undefined);
  if (rowsToPrint.length > 0) yield "";
  for (const [what, value] of rowsToPrint) {
    yield `${what}: ${formatValue(value)}`;
  }
}

/** The schema of a value, or what describes it in the place of one. */
function known(value: DescribedValue | undefined): unknown {
  const { schema, callback, values, members } = value ?? {};
  if (schema !== undefined) return schema;
  const others = { callback, values, members };
  return Object.values(others).every((one) => one === undefined)
    ? undefined
    : JSON.parse(JSON.stringify(others));
}

function textLines(text: string | undefined, indent: string): string[] {
  if (text === undefined) return [];
  return text.split(/\r\n?|\n/).map((line) =>
    `${indent}${printableText(line)}`
  );
}
