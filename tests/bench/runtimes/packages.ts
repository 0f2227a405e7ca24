/**
 * What comes from npm: installed beside the bundled program, and loaded when that
 * runs.
 *
 * @module
 */

/** With their exact versions. */
export const PACKAGES: readonly string[] = [
  "birpc@4.2.0",
  "kkrpc@0.2.2",
  "ws@8.23.0",
];

/**
 * Loads a package. Its name is not written where type-checking and bundling look:
 * the project itself has none of them.
 */
export async function loadPackage<T>(name: string): Promise<T> {
  return await import(name) as T;
}
