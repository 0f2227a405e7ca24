import type {
  DescribedArgument,
  DescribedMethod,
  DescribedValue,
} from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";
import {
  tight,
  typeOfValue,
  type ValueStyle,
  type Written,
} from "./type_text.ts";

/** A method for people: what to call, what it takes, and what it answers. */
export interface MethodText {
  /** What to call: `math.add`, or `files.…` for all that begins with it. */
  readonly name: string;
  /** What it takes and answers: `(number, number): number`. */
  readonly signature: string;
}

/** Describes a method in one line. */
export function methodText(method: DescribedMethod): MethodText {
  const { selector, prefix } = method;
  const name = printableText(prefix ? `${selector}…` : selector || "/");
  return {
    name,
    signature: `${parameters(method)}${answer(method)}`,
  };
}

function parameters({ args, rest, params }: DescribedMethod): string {
  if (args === undefined) {
    if (params === undefined) return "";
    return `(${params} ${params === 1 ? "parameter" : "parameters"})`;
  }
  return `(${argumentsText(args, rest, textOf)})`;
}

/** How people read functions and streams. */
const STYLE: ValueStyle = {
  callback({ kind, args = [], rest, result }, write) {
    const answer = kind === "bytes"
      ? "bytes"
      : result === undefined
      ? kind === "stream" ? "stream" : "nothing"
      : kind === "stream"
      ? `stream of ${within(write(result))}`
      : write(result).text;
    return {
      text: `(${argumentsText(args, rest, write)}) => ${answer}`,
      loose: true,
    };
  },
  stream: (value) => ({ text: `stream of ${within(value)}` }),
  memberDoc: () => "",
};

function textOf(value: DescribedValue): Written {
  return typeOfValue(value, STYLE);
}

function argumentsText(
  args: readonly DescribedArgument[],
  rest: DescribedValue | undefined,
  write: (value: DescribedValue) => Written,
): string {
  const parts = args.map((argument) => {
    const { stream, optional } = argument;
    const written = write(argument);
    if (!stream && !optional) return written.text;
    return `${stream ? "stream of " : ""}${within(written)}${
      optional ? "?" : ""
    }`;
  });
  if (rest !== undefined) parts.push(`...${write(rest).text}`);
  return parts.join(", ");
}

/** A function within other words needs parentheses; for people, a union does not. */
function within(written: Written): string {
  return written.text.includes("=>") ? tight(written) : written.text;
}

function answer({ kind, args, result }: DescribedMethod): string {
  if (kind === "bytes") return ": bytes";
  // What functions without a contract answer is not known.
  const known = result !== undefined || args !== undefined && kind === "unary";
  if (kind === "stream") {
    return result === undefined
      ? ": stream"
      : `: stream of ${within(textOf(result))}`;
  }
  if (!known) return "";
  return `: ${result === undefined ? "nothing" : textOf(result).text}`;
}
