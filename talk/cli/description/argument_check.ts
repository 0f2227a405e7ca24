import type {
  DescribedMethod,
  DescribedValue,
} from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";
import { referred } from "./type_text.ts";

/** How deep values are looked into; what is deeper is left to the server. */
const MAX_DEPTH = 32;
/** How often a schema is applied to a part of a value. References can multiply. */
const MAX_STEPS = 100_000;

type Members = Readonly<Record<string, unknown>>;

/**
 * What is wrong with the arguments of a call, by the description of the method. Only
 * what is certain counts: the server, which has the schemas themselves, decides on
 * the rest.
 *
 * @returns undefined if nothing is known to be wrong
 */
export function problemWith(
  { args, rest }: DescribedMethod,
  value: unknown,
): string | undefined {
  // Functions without a contract do not say what can be left out.
  if (args === undefined || args.some(({ stream }) => stream)) return undefined;
  const given = value ?? [];
  if (!Array.isArray(given)) {
    return `expected an array of arguments, got ${kindOf(given)}`;
  }
  const least = args.findLastIndex(({ optional }) => !optional) + 1;
  const most = rest === undefined ? args.length : Infinity;
  if (given.length < least || given.length > most) {
    const range = least === most
      ? `${least}`
      : most === Infinity
      ? `at least ${least}`
      : `${least} to ${most}`;
    const noun = range === "1" || range === "at least 1"
      ? "argument"
      : "arguments";
    return `expected ${range} ${noun}, got ${given.length}`;
  }
  for (const [index, argument] of given.entries()) {
    const described = args[index] ?? rest;
    if (argument === null && args[index]?.optional) continue;
    const problem = problemWithValue(argument, described, 0);
    if (problem === undefined) continue;
    return `argument ${index + 1}${problem.path}: ${problem.text}`;
  }
  return undefined;
}

/** As {@linkcode problemOf}, for what may be or contain a function or a stream. */
function problemWithValue(
  value: unknown,
  described: DescribedValue | undefined,
  depth: number,
): Problem | undefined {
  const { schema, callback, values, members } = described ?? {};
  if (depth > MAX_DEPTH) return undefined;
  if (callback !== undefined || values !== undefined) {
    const what = callback !== undefined ? "function" : "stream";
    return {
      path: "",
      text: `expected a ${what}, which a command cannot pass`,
    };
  }
  if (members === undefined) {
    return problemOf(value, schema, { root: schema, steps: 0 }, 0);
  }
  if (!isMembers(value)) {
    return { path: "", text: `expected object, got ${kindOf(value)}` };
  }
  for (const [name, member] of Object.entries(members)) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined || given === null && member.optional) {
      if (member.optional || member.schema !== undefined) continue;
      return { path: "", text: `there is no ${quoted(name)}` };
    }
    const problem = problemWithValue(given, member, depth + 1);
    if (problem === undefined) continue;
    return { ...problem, path: `.${printableText(name)}${problem.path}` };
  }
  return undefined;
}

/** What is wrong, and where in the argument. */
interface Problem {
  readonly path: string;
  readonly text: string;
}

/** The check of one argument. */
interface Checking {
  /** What references begin at. */
  readonly root: unknown;
  /** How often a schema has been applied. */
  steps: number;
}

function problemOf(
  value: unknown,
  schema: unknown,
  state: Checking,
  depth: number,
): Problem | undefined {
  if (schema === false) return { path: "", text: "nothing is accepted here" };
  if (
    !isMembers(schema) || depth > MAX_DEPTH || ++state.steps > MAX_STEPS
  ) return undefined;
  const within = (part: unknown, inner: unknown) =>
    problemOf(part, inner, state, depth + 1);
  const wrong = (text: string): Problem => ({ path: "", text });
  const at = (key: string, problem: Problem): Problem => ({
    ...problem,
    path: `${key}${problem.path}`,
  });

  if (typeof schema.$ref === "string") {
    const target = referred(schema.$ref, state.root);
    return target === undefined ? undefined : within(value, target);
  }
  if (Array.isArray(schema.allOf)) {
    for (const one of schema.allOf) {
      const problem = within(value, one);
      if (problem !== undefined) return problem;
    }
  }
  for (const options of [schema.anyOf, schema.oneOf]) {
    if (!Array.isArray(options)) continue;
    const problems = options.map((one) => within(value, one));
    if (problems.length > 0 && !problems.includes(undefined)) {
      // The one that came furthest is the one that was meant.
      return (problems as Problem[]).reduce((a, b) =>
        b.path.length > a.path.length ? b : a
      );
    }
  }
  const { enum: values, type } = schema;
  const allowed = "const" in schema ? [schema.const] : values;
  if (
    Array.isArray(allowed) && allowed.every(isScalar) &&
    !(allowed as unknown[]).includes(value)
  ) {
    const list = allowed.map((one) => JSON.stringify(one)).join(" or ");
    return wrong(`expected ${printableText(list)}`);
  }
  const types = typeof type === "string" ? [type] : type;
  if (Array.isArray(types) && !types.some((type) => isOfType(value, type))) {
    const expected = printableText(types.join(" or "));
    const hint = types.includes("string") && isScalar(value) && value !== null
      ? `; write '"${value}"' for a string`
      : "";
    return wrong(`expected ${expected}, got ${kindOf(value)}${hint}`);
  }
  if (typeof value === "number" || typeof value === "bigint") {
    const text = outOfRange(value, schema);
    return text === undefined ? undefined : wrong(text);
  }
  if (Array.isArray(value)) {
    const { prefixItems, items, minItems, maxItems } = schema;
    if (isNumber(minItems) && value.length < minItems) {
      return wrong(`expected at least ${minItems} items, got ${value.length}`);
    }
    if (isNumber(maxItems) && value.length > maxItems) {
      return wrong(`expected at most ${maxItems} items, got ${value.length}`);
    }
    const first = Array.isArray(prefixItems) ? prefixItems : [];
    for (const [index, item] of value.entries()) {
      const inner = index < first.length ? first[index] : items;
      const problem = within(item, inner);
      if (problem !== undefined) return at(`[${index}]`, problem);
    }
    return undefined;
  }
  if (!isMembers(value)) return undefined;
  const { properties, required, additionalProperties } = schema;
  const known = isMembers(properties) ? properties : {};
  for (const name of Array.isArray(required) ? required : []) {
    if (typeof name !== "string" || Object.hasOwn(value, name)) continue;
    return wrong(`there is no ${quoted(name)}`);
  }
  for (const [name, member] of Object.entries(value)) {
    const inner = Object.hasOwn(known, name)
      ? known[name]
      : schema.patternProperties === undefined
      ? additionalProperties
      : undefined;
    if (inner === false) return wrong(`${quoted(name)} is not known`);
    const problem = within(member, inner);
    if (problem !== undefined) return at(`.${printableText(name)}`, problem);
  }
  return undefined;
}

function outOfRange(
  value: number | bigint,
  schema: Members,
): string | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (isNumber(minimum) && value < minimum) return `is below ${minimum}`;
  if (isNumber(maximum) && value > maximum) return `is above ${maximum}`;
  if (isNumber(exclusiveMinimum) && value <= exclusiveMinimum) {
    return `is not above ${exclusiveMinimum}`;
  }
  if (isNumber(exclusiveMaximum) && value >= exclusiveMaximum) {
    return `is not below ${exclusiveMaximum}`;
  }
  return undefined;
}

function isOfType(value: unknown, type: unknown): boolean {
  switch (type) {
    case "integer":
      return typeof value === "bigint" || Number.isInteger(value);
    case "number":
      return typeof value === "number" || typeof value === "bigint";
    case "string":
    case "boolean":
    case "null":
    case "array":
    case "object":
      return kindOf(value) === type;
    default:
      return true;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "bigint" ? "number" : typeof value;
}

function quoted(name: string): string {
  return `"${printableText(name)}"`;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function isScalar(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
