/**
 * A folder that is removed with what is in it.
 *
 * @module
 */

/** Makes one, which ends with the block that has it in an `await using`. */
export async function temporaryFolder(): Promise<
  AsyncDisposable & { path: string }
> {
  const path = await Deno.makeTempDir({ prefix: "qtalk_" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
