/**
 * The address of another module of this package, for `import()` and `new Worker()`. It
 * is computed, because Deno fetches what the module of a literal `import()` needs
 * before the program starts.
 *
 * This module is in the package's own folder, and so is the file that has its code in
 * the packages that are published: see `tests/package/join_modules.ts`.
 *
 * @param path from the package's folder, without an extension: that is `.ts`, and
 * `.js` in the packages that are published
 */
export function moduleUrl(path: string): string {
  const { url } = import.meta;
  return new URL(path + url.slice(url.lastIndexOf(".")), url).href;
}
