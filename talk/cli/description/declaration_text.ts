/**
 * A description as declarations of TypeScript, for `remote<Service>()`.
 *
 * @module
 */
import type {
  DescribedArgument,
  DescribedCallback,
  DescribedMethod,
  DescribedValue,
  ServiceDescription,
} from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";
import {
  propertyName,
  typeOfValue,
  type ValueStyle,
  type Written,
} from "./type_text.ts";

/** Methods and groups, by the next part of their selectors. */
interface Group {
  method?: DescribedMethod;
  readonly members: Map<string, Group>;
}

/**
 * Writes the types of a service. Its description comes from the other end: names are
 * quoted, and texts stay within their comments.
 *
 * @param description what the service says about itself
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
  const types = new TypeNames(name);
  const body = [
    ...callSignature(root, types, "  "),
    ...membersOf(root, types, "  "),
  ];
  return [
    `// Written by qtalk types from the description of ${
      printableText(origin)
    }.`,
    ...types.imports,
    "",
    ...comment(
      [`${about}, for remote<${name}>().`, ...doc ? ["", doc] : []],
      "",
    ),
    `export interface ${name} {`,
    ...body,
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

/** Writes types by the names of those of this package, which it remembers. */
class TypeNames {
  readonly #interface: string;
  readonly #used = new Set<string>();

  /** Makes one for an interface, of whose name none must be. */
  constructor(name: string) {
    this.#interface = name;
  }

  /** The declarations that import them. */
  get imports(): string[] {
    const names = [...this.#used].sort().map((name) => {
      const local = this.#local(name);
      return local === name ? name : `${name} as ${local}`;
    });
    return names.length === 0
      ? []
      : [`import type { ${names.join(", ")} } from "@qtalk/qtalk";`];
  }

  /** The type of a value. */
  of(value: DescribedValue): string {
    return typeOfValue(value, this.#style).text;
  }

  /** The type of bytes in both directions. */
  bytes(): string {
    return this.#use("ByteStream");
  }

  #use(name: "ByteStream" | "Callback"): string {
    this.#used.add(name);
    return this.#local(name);
  }

  #local(name: string): string {
    return name === this.#interface ? `Qtalk${name}` : name;
  }

  readonly #style: ValueStyle = {
    callback: (callback, write) => {
      const of = (value: DescribedValue) => write(value).text;
      const bytes = () => this.bytes();
      const inputs = parameters(callback, of);
      const type = `(${inputs}) => ${result(callback, of, bytes)}`;
      return { text: `${this.#use("Callback")}<${type}>` };
    },
    stream: ({ text }: Written) => ({ text: `AsyncIterable<${text}>` }),
    memberDoc: (doc) =>
      `${comment([doc.replaceAll(/\s+/g, " ")], "").join(" ")} `,
  };
}

function* membersOf(
  group: Group,
  types: TypeNames,
  indent: string,
): Generator<string> {
  for (const [name, member] of group.members) {
    const { method, members } = member;
    const key = propertyName(name);
    if (method !== undefined && !isAnything(method)) {
      if (method.doc) yield* comment([method.doc], indent);
      if (members.size === 0) {
        yield `${indent}${key}${signature(method, types)};`;
        continue;
      }
    } else if (method !== undefined) {
      const text = `${printableText(method.selector)}…`;
      yield `${indent}// All of ${text} is answered; what there is, is not known.`;
      if (members.size === 0) continue;
    }
    yield `${indent}${key}: {`;
    yield* callSignature(member, types, `${indent}  `);
    yield* membersOf(member, types, `${indent}  `);
    yield `${indent}};`;
  }
}

function* callSignature(
  { method }: Group,
  types: TypeNames,
  indent: string,
): Generator<string> {
  if (method === undefined || isAnything(method)) return;
  yield `${indent}${signature(method, types)};`;
}

/** Whether nothing is known about what answers a group of selectors. */
function isAnything({ prefix, args, params }: DescribedMethod): boolean {
  return prefix === true && args === undefined && params === undefined;
}

function signature(method: DescribedMethod, types: TypeNames): string {
  const of = (value: DescribedValue) => types.of(value);
  const answer = result(method, of, () => types.bytes());
  return `(${parameters(method, of)}): ${answer}`;
}

/** @param of the type of a value */
function parameters(
  { args, rest, params = 0 }: DescribedCallback & { params?: number },
  of: (value: DescribedValue) => string,
): string {
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
  const typeOf = (argument: DescribedArgument) =>
    argument.stream ? `AsyncIterable<${of(argument)}>` : of(argument);
  const named = args.map((argument, i) =>
    `arg${i + 1}${i < required ? "" : "?"}: ${typeOf(argument)}`
  );
  if (rest !== undefined) named.push(`...rest: Array<${of(rest)}>`);
  return named.join(", ");
}

function result(
  { kind, args, result }: DescribedCallback,
  of: (value: DescribedValue) => string,
  bytes: () => string,
): string {
  if (kind === "bytes") return bytes();
  const type = result !== undefined
    ? of(result)
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
