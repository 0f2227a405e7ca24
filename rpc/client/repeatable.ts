import { isNotBegun, RemoteError } from "../errors.ts";
import { isValueStream } from "../wire/value_source.ts";

/**
 * Whether a call that failed can be made again with the same arguments, because it
 * was not begun and they have not been used.
 *
 * @param error what the call rejected with
 * @param args its argument value
 */
export function isRepeatable(error: unknown, args: unknown): boolean {
  return isNotBegun(error) && !isUsedUp(error, args);
}

/**
 * Whether the arguments of a call that failed cannot be sent again: a stream can be
 * read once. One that is the whole argument is read when the call is sent. One that
 * is a part of it ends with the call, whether it was read or not.
 */
export function isUsedUp(error: unknown, args: unknown): boolean {
  if (!isValueStream(args)) return hasStream(args);
  return error instanceof RemoteError || !isNotBegun(error);
}

function hasStream(value: unknown): boolean {
  const seen = new Set<unknown>([value]);
  // A set iterates over what is added meanwhile, too.
  for (const one of seen) {
    if (typeof one !== "object" || one === null) continue;
    if (isValueStream(one)) return true;
    if (ArrayBuffer.isView(one)) continue;
    const isCollection = one instanceof Map || one instanceof Set;
    for (const part of isCollection ? [...one].flat() : Object.values(one)) {
      seen.add(part);
    }
  }
  return false;
}
