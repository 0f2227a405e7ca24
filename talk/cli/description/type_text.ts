/**
 * Writes what is known about values, and JSON Schemas, as TypeScript types. Both
 * come from the other end, so the text must not be able to be anything but a type.
 *
 * @module
 */
import type {
  DescribedCallback,
  DescribedSchema,
  DescribedValue,
} from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";

/** How deep types are nested; what is deeper is unknown. */
const MAX_DEPTH = 16;
/** Parts of one type; what comes after them is unknown. References can multiply. */
const MAX_PARTS = 2_000;
/** Names that need no quotes. */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** The type of what a schema accepts; `unknown` if there is none. */
export function typeText(schema: unknown): string {
  return typeOf(schema).text;
}

/** How the parts of a value are written that a schema cannot describe. */
export interface ValueStyle {
  /**
   * A function.
   *
   * @param write writes its arguments and its result
   */
  callback(
    described: DescribedCallback,
    write: (value: DescribedValue) => Written,
  ): Written;
  /** A stream of values. */
  stream(value: Written): Written;
  /** What comes before a member of an object, for people. */
  memberDoc(doc: string): string;
}

/**
 * The type of a value: of its schema, of a function, of a stream, or of an object that
 * contains these.
 */
export function typeOfValue(
  value: DescribedValue,
  style: ValueStyle,
  depth = 0,
): Written {
  const { schema, callback, values, members } = value;
  const write = (inner: DescribedValue) => typeOfValue(inner, style, depth + 1);
  if (depth > MAX_DEPTH) return UNKNOWN;
  if (callback !== undefined) return style.callback(callback, write);
  if (values !== undefined) return style.stream(write(values));
  if (members === undefined) return typeOf(schema);
  const parts = Object.entries(members).map(([name, member]) => {
    const doc = member.callback?.doc;
    const mark = member.optional ? "?" : "";
    return `${doc === undefined ? "" : style.memberDoc(doc)}${
      propertyName(name)
    }${mark}: ${write(member).text}`;
  });
  return {
    text: parts.length === 0
      ? "Record<string, never>"
      : `{ ${parts.join("; ")} }`,
  };
}

function typeOf(schema: unknown): Written {
  return new TypeWriter(schema).write(schema, 0);
}

/** A name of a property: as it is, or in quotes. */
export function propertyName(name: string): string {
  return IDENTIFIER.test(name) ? name : literal(name);
}

/** A value as a literal. */
export function literal(value: unknown): string {
  // Some characters in it would change what people read.
  return printableText(JSON.stringify(value));
}

/** A type, and whether it needs parentheses in another one. */
export interface Written {
  readonly text: string;
  readonly loose?: boolean;
}

const UNKNOWN: Written = { text: "unknown" };

class TypeWriter {
  readonly #root: unknown;
  /** The references that are being followed. */
  readonly #open = new Set<string>();
  #parts = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  write(schema: unknown, depth: number): Written {
    if (schema === false) return { text: "never" };
    if (
      !isMembers(schema) || depth > MAX_DEPTH || ++this.#parts > MAX_PARTS
    ) return UNKNOWN;
    if (typeof schema.$ref === "string") {
      return this.#reference(schema.$ref, depth);
    }
    if ("const" in schema) return literals([schema.const]);
    if (Array.isArray(schema.enum)) return literals(schema.enum);
    for (const key of ["anyOf", "oneOf"]) {
      const options = schema[key];
      if (Array.isArray(options)) return this.#joined(options, "|", depth);
    }
    if (Array.isArray(schema.allOf)) {
      return this.#joined(schema.allOf, "&", depth);
    }
    const { type } = schema;
    if (Array.isArray(type)) {
      const options = type.map((one) => ({ ...schema, type: one }));
      return this.#joined(options, "|", depth);
    }
    if (type === "array" || type === undefined && "items" in schema) {
      return this.#array(schema, depth);
    }
    if (type === "object" || type === undefined && "properties" in schema) {
      return this.#object(schema, depth);
    }
    switch (type) {
      case "integer":
        return { text: "number" };
      case "string":
      case "number":
      case "boolean":
      case "null":
        return { text: type };
      default:
        return UNKNOWN;
    }
  }

  #reference(ref: string, depth: number): Written {
    const schema = referred(ref, this.#root);
    if (schema === undefined || this.#open.has(ref)) return UNKNOWN;
    this.#open.add(ref);
    const written = this.write(schema, depth + 1);
    this.#open.delete(ref);
    return written;
  }

  #joined(schemas: unknown[], operator: "|" | "&", depth: number): Written {
    const texts = schemas.map((schema) => tight(this.write(schema, depth + 1)));
    const [first, ...others] = new Set(texts);
    if (first === undefined) return UNKNOWN;
    if (others.length === 0) return { text: first };
    return { text: [first, ...others].join(` ${operator} `), loose: true };
  }

  #array({ prefixItems, items }: DescribedSchema, depth: number): Written {
    const rest = items === undefined || items === false
      ? undefined
      : `${tight(this.write(items, depth + 1))}[]`;
    if (!Array.isArray(prefixItems)) return { text: rest ?? "unknown[]" };
    const parts = prefixItems.map((item) => this.write(item, depth + 1).text);
    if (rest !== undefined) parts.push(`...${rest}`);
    return { text: `[${parts.join(", ")}]` };
  }

  #object(schema: DescribedSchema, depth: number): Written {
    const { properties, required, additionalProperties } = schema;
    const members = isMembers(properties) ? Object.entries(properties) : [];
    if (members.length === 0) {
      if (additionalProperties === false) {
        return { text: "Record<string, never>" };
      }
      const values = this.write(additionalProperties ?? true, depth + 1).text;
      return { text: `Record<string, ${values}>` };
    }
    const needed = Array.isArray(required) ? required : [];
    const parts = members.map(([name, member]) => {
      const mark = needed.includes(name) ? "" : "?";
      const { text } = this.write(member, depth + 1);
      return `${propertyName(name)}${mark}: ${text}`;
    });
    return { text: `{ ${parts.join("; ")} }` };
  }
}

function isMembers(value: unknown): value is DescribedSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function literals(values: readonly unknown[]): Written {
  const texts = values.map((value) =>
    typeof value === "object" && value !== null ? "unknown" : literal(value)
  );
  const text = texts.join(" | ");
  return texts.length === 0 ? { text: "never" } : {
    text,
    loose: texts.length > 1,
  };
}

/** A type within another one. */
export function tight({ text, loose }: Written): string {
  return loose ? `(${text})` : text;
}

/** What a reference within a schema refers to; undefined if it is no such one. */
export function referred(ref: string, root: unknown): unknown {
  if (ref !== "#" && !ref.startsWith("#/")) return undefined;
  let found: unknown = root;
  for (const part of ref.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof found !== "object" || found === null) return undefined;
    if (!Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}
