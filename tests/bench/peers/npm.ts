/**
 * Loads an npm package when the bench runs. The specifier is not written where
 * type-checking looks: the project itself is checked without any of them.
 *
 * @param specifier name and exact version
 */
export async function loadNpm<T>(specifier: string): Promise<T> {
  return await import(`npm:${specifier}`) as T;
}
