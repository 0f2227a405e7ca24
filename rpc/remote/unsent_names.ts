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
