/**
 * A description as declarations of TypeScript, for `remote<Service>()`.
 *
 * @module
 */
import type {
  DescribedArgument,
  DescribedMethod,
  ServiceDescription,
} from "../../rpc/internal_cli.ts";
import { printableText } from "../../printable_text.ts";
import { propertyName, typeText } from "./type_text.ts";

/** Methods and groups, by the next part of their selectors. */
interface Group {
  method?: DescribedMethod;
  readonly members: Map<string, Group>;
}

/**
 * Writes the types of a service. Its description comes from the other end: names are
 * quoted, and texts stay within their comments.
 *
 * @param description what the service says of itself
 * @param name the name of the interface
 * @param origin where the description comes from, for the comment at the top
 */
export function declarationText(
  description: ServiceDescription,
  name: string,
  origin: string,
): string {
  const { methods, doc, version } = description;
  const root: Group = { members: new Map() };
  for (const method of methods) {
    let group = root;
    for (const part of method.selector.split(".").filter(Boolean)) {
      const next: Group = group.members.get(part) ?? { members: new Map() };
      group.members.set(part, next);
      group = next;
    }
    group.method ??= method;
  }
  const about = [
    description.name === undefined
      ? "The service"
      : `The service "${description.name}"`,
    ...version === undefined ? [] : [`, version ${version}`],
  ].join("");
  const usesBytes = methods.some(({ kind }) => kind === "bytes");
  return [
    `// Written by qtalk types, from what ${
      printableText(origin)
    } says of itself.`,
    ...usesBytes ? ['import type { ByteStream } from "@qtalk/qtalk";'] : [],
    "",
    ...comment(
      [`${about}, for remote<${name}>().`, ...doc ? ["", doc] : []],
      "",
    ),
    `export interface ${name} {`,
    ...callSignature(root, "  "),
    ...membersOf(root, "  "),
    "}",
  ].join("\n");
}

/**
 * The name of an interface: that of the service, if it can be one.
 *
 * @param text the name of the service
 */
export function interfaceName(text: string | undefined): string {
  const words = (text ?? "").split(/[^A-Za-z0-9]+/).filter(Boolean);
  const name = words.map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join("");
  return /^[A-Z]/.test(name) ? name : "Service";
}

function* membersOf(group: Group, indent: string): Generator<string> {
  for (const [name, member] of group.members) {
    const { method, members } = member;
    const key = propertyName(name);
    if (method !== undefined && !isAnything(method)) {
      if (method.doc) yield* comment([method.doc], indent);
      if (members.size === 0) {
        yield `${indent}${key}${signature(method, ": ")};`;
        continue;
      }
    } else if (method !== undefined) {
      const text = `${printableText(method.selector)}…`;
      yield `${indent}// All of ${text} is answered; what there is, is not known.`;
      if (members.size === 0) continue;
    }
    yield `${indent}${key}: {`;
    yield* callSignature(member, `${indent}  `);
    yield* membersOf(member, `${indent}  `);
    yield `${indent}};`;
  }
}

function* callSignature({ method }: Group, indent: string): Generator<string> {
  if (method === undefined || isAnything(method)) return;
  yield `${indent}${signature(method, ": ")};`;
}

/** Whether nothing is known of what answers a group of selectors. */
function isAnything({ prefix, args, params }: DescribedMethod): boolean {
  return prefix === true && args === undefined && params === undefined;
}

function signature(method: DescribedMethod, colon: string): string {
  return `(${parameters(method)})${colon}${result(method)}`;
}

function parameters({ args, rest, params = 0 }: DescribedMethod): string {
  if (args === undefined) {
    // Functions do not say which of their parameters can be left out, and have more
    // than they name if some have a default value.
    const named = Array.from(
      { length: params },
      (_, i) => `arg${i + 1}?: unknown`,
    );
    return [...named, "...rest: unknown[]"].join(", ");
  }
  const required = args.findLastIndex(({ optional }) => !optional) + 1;
  const named = args.map((argument, i) =>
    `arg${i + 1}${i < required ? "" : "?"}: ${argumentType(argument)}`
  );
  if (rest !== undefined) named.push(`...rest: ${arrayOf(rest.schema)}`);
  return named.join(", ");
}

function argumentType({ schema, stream }: DescribedArgument): string {
  const type = typeText(schema);
  return stream ? `AsyncIterable<${type}>` : type;
}

function arrayOf(schema: unknown): string {
  return `Array<${typeText(schema)}>`;
}

function result({ kind, args, result }: DescribedMethod): string {
  if (kind === "bytes") return "ByteStream";
  const type = result !== undefined
    ? typeText(result.schema)
    : args !== undefined && kind === "unary"
    ? "void"
    : "unknown";
  return kind === "stream" ? `AsyncIterable<${type}>` : type;
}

/** A doc comment. */
function comment(texts: readonly string[], indent: string): string[] {
  const lines = texts.flatMap((text) => text.split(/\r\n?|\n/)).map((line) =>
    ` * ${printableText(line).replaceAll("*/", "*\\/")}`.trimEnd()
  );
  const [line] = lines;
  return lines.length === 1
    ? [`${indent}/**${line!.slice(2)} */`]
    : ["/**", ...lines, " */"].map((line) => `${indent}${line}`);
}
