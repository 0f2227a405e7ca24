/**
 * The name of a module that is loaded when it is needed, for `import()`. It is
 * computed, because Deno fetches what the module of a literal `import()` needs
 * before the program starts.
 *
 * @param path relative to the module that imports it, without an extension: that
 * is `.ts`, and `.js` in the package for npm
 */
export function lazyModule(path: string): string {
  const { url } = import.meta;
  return path + url.slice(url.lastIndexOf("."));
}
