import type {
  DescribedArgument,
  DescribedMethod,
} from "../../rpc/internal_cli.ts";
import { printableText } from "../../printable_text.ts";
import { typeText } from "./type_text.ts";

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
  const parts = args.map(argumentText);
  if (rest !== undefined) parts.push(`...${typeText(rest.schema)}`);
  return `(${parts.join(", ")})`;
}

function argumentText({ schema, stream, optional }: DescribedArgument): string {
  const text = typeText(schema);
  return `${stream ? "stream of " : ""}${text}${optional ? "?" : ""}`;
}

function answer({ kind, args, result }: DescribedMethod): string {
  if (kind === "bytes") return ": bytes";
  // What functions without a contract answer is not known.
  const known = result !== undefined || args !== undefined && kind === "unary";
  const type = result === undefined ? "nothing" : typeText(result.schema);
  if (kind === "stream") {
    return result === undefined ? ": stream" : `: stream of ${type}`;
  }
  return known ? `: ${type}` : "";
}
