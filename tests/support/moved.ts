/**
 * Work that is counted, because time depends on what else the machine does.
 *
 * @module
 */

/** Methods of arrays that move or copy items, at most as many as there are. */
const OF_ARRAYS = [
  "concat",
  "copyWithin",
  "shift",
  "slice",
  "splice",
  "unshift",
] as const;
/** The same of typed arrays, such as `Uint8Array`. */
const OF_TYPED_ARRAYS = ["copyWithin", "slice"] as const;

/** An array of either kind. */
type AnyArray = { readonly length: number };
/** A method of one. */
type Method = (this: AnyArray, ...args: AnyArray[]) => unknown;

/**
 * How many items, or bytes, the methods of arrays move while `act` runs: no fewer
 * than they do. Copies by constructors and by `[...array]` are not among them.
 */
export function movedBy(act: () => void): number {
  const arrays = Array.prototype as unknown as Record<string, Method>;
  const typedArrays = Object.getPrototypeOf(Uint8Array.prototype);
  let moved = 0;
  const restore: (() => void)[] = [];
  const count = (
    prototype: Record<string, Method>,
    name: string,
    cost: (array: AnyArray, arg: AnyArray) => number,
  ) => {
    const method = prototype[name]!;
    restore.push(() => prototype[name] = method);
    prototype[name] = function (...args) {
      moved += cost(this, args[0]!);
      return method.apply(this, args);
    };
  };
  for (const name of OF_ARRAYS) count(arrays, name, ({ length }) => length);
  for (const name of OF_TYPED_ARRAYS) {
    count(typedArrays, name, ({ length }) => length);
  }
  count(typedArrays, "set", (_, source) => source.length);
  try {
    act();
    return moved;
  } finally {
    restore.forEach((method) => method());
  }
}
