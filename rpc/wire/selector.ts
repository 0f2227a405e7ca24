import { wrongKind } from "../../check_option.ts";

/** The selector of a call that asks for a sign of life. */
export const PING_SELECTOR = "/_qtalk/ping";

/** The selector that releases a callback, without the callback's ID at its end. */
export const RELEASE_SELECTOR = "/_qtalk/release/";

/** The ID in a selector that calls or releases a callback; any text in another one. */
export function callbackIdIn(selector: string): string {
  return selector.startsWith(RELEASE_SELECTOR)
    ? selector.slice(RELEASE_SELECTOR.length)
    : selector.slice(1);
}

/** What the selectors begin with that peers of this package have for themselves. */
export const RESERVED_PREFIX = "/_qtalk/";

/**
 * Names that JavaScript, its runtimes and common tools look up on any object or
 * function. A remote object never sends them; a method with such a name can be
 * called with `call()`.
 */
export const UNSENT_NAMES = [
  // Of every object.
  "constructor",
  "hasOwnProperty",
  "isPrototypeOf",
  "propertyIsEnumerable",
  "toLocaleString",
  "toString",
  "valueOf",
  // Of every function.
  "apply",
  "arguments",
  "bind",
  "call",
  "caller",
  "length",
  "name",
  "prototype",
  // `await`, `JSON.stringify()`.
  "then",
  "toJSON",
  // Consoles, test runners, DOM libraries.
  "inspect",
  "asymmetricMatch",
  "nodeType",
  "tagName",
  "_isMockFunction",
] as const;

/**
 * How other such names begin: `__proto__`, `__defineGetter__()`, `__esModule`;
 * `$$typeof` of React; `@@observable`, `@@iterator` and the like.
 */
export const UNSENT_PREFIXES = ["__", "$$", "@@"] as const;

/**
 * Checks what a program gives for a selector.
 *
 * @throws {TypeError} if it is not a string
 */
export function checkSelector(selector: unknown): void {
  if (typeof selector === "string") return;
  throw wrongKind("selector", selector, "a string");
}

/**
 * The canonical form of a selector, which routing compares: `foo.bar`,
 * `/foo/bar` and `foo/bar` are all `/foo/bar` (rpc/SPEC.md, "Selectors").
 */
export function cleanSelector(selector: string): string {
  if (selector === "") return "/";
  const rooted = selector.charCodeAt(0) === 0x2f ? selector : `/${selector}`;
  return rooted.includes(".") ? rooted.replaceAll(".", "/") : rooted;
}

/**
 * Whether a selector in its canonical form has an empty segment. It then names
 * nothing: some routers would drop the segment, and others would not. A separator
 * at the end makes no segment.
 */
export function hasEmptySegment(clean: string): boolean {
  return clean.includes("//");
}
