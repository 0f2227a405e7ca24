/** The selector that releases a callback, without the callback's ID at its end. */
export const RELEASE_SELECTOR = "/_qtalk/release/";

/**
 * Names that JavaScript, its runtimes and their consoles look up on any object.
 * A remote object never sends them; a method with such a name can be called with
 * `call()`.
 */
export const UNSENT_NAMES = [
  "then",
  "toJSON",
  "toString",
  "toLocaleString",
  "valueOf",
  "inspect",
  "constructor",
  "prototype",
  "__proto__",
] as const;

/**
 * Checks what a program gives for a selector.
 *
 * @throws {TypeError} if it is not a string
 */
export function checkSelector(selector: unknown): void {
  if (typeof selector === "string") return;
  throw new TypeError(
    `Cannot make call: the selector must be a string, and is ${
      kindOf(selector)
    }`,
  );
}

/** What a value is, for an error text. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  const kind = typeof value;
  return kind === "object" ? "an object" : `a ${kind}`;
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
