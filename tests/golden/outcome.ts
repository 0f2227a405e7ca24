/**
 * What a program got, as a recording writes it and as a program of ours has
 * it. An outcome does not tell 100 from 100.0: it is written as JSON.
 *
 * @module
 */
import { fromHex } from "../support/wire.ts";
import { notation, readJson, type WireValue } from "./wire_value.ts";

/** The end of the data, as the recordings write it. */
export const END = failureText("EOF");

/** The outcome that a recording has. */
export function recordedOutcome(text: string): string {
  let value: WireValue;
  try {
    value = readJson(text);
  } catch {
    return failureText(text);
  }
  return notation(unwrap(value));
}

/** The outcome that is this value. */
export function valueText(value: unknown): string {
  return notation(wireValue(value));
}

/** The outcome that is an error with this text. */
export function failureText(text: string): string {
  return `fails: ${text}`;
}

/** A recorded value without the forms that stand for what JSON has not. */
function unwrap(value: WireValue): WireValue {
  if (Array.isArray(value)) return value.map(unwrap);
  if (!(value instanceof Map)) return value;
  const member = (name: string) => value.get(notation(name));
  const bytes = member("bytes"), float = member("float"), map = member("map");
  if (value.size === 1 && typeof bytes === "string") return fromHex(bytes);
  if (value.size === 1 && typeof float === "string") {
    return Number(float.replace("Inf", "Infinity"));
  }
  if (value.size === 1 && Array.isArray(map)) {
    return new Map(
      (map as [WireValue, WireValue][]).map(([key, member]) =>
        [notation(key), unwrap(member)] as const
      ),
    );
  }
  return new Map([...value].map(([key, member]) => [key, unwrap(member)]));
}

/** A value of a program. */
function wireValue(value: unknown): WireValue {
  if (typeof value === "number") {
    const integral = Number.isInteger(value) && !Object.is(value, -0);
    return integral ? BigInt(value) : value;
  }
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return value as WireValue;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString().replace(".000Z", "Z");
  if (Array.isArray(value)) return value.map(wireValue);
  return new Map(
    Object.entries(value).map(([name, member]) =>
      [notation(name), wireValue(member)] as const
    ),
  );
}
