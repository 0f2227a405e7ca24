/**
 * Makes V8 compile the functions that a start calls when it loads their file.
 *
 * It compiles other functions when they are first called. Deno stores its code cache
 * before that, so they would be compiled at each start: 178 of them take 2 of 30 ms.
 * V8 compiles a function with its file if it is in parentheses. Methods cannot be.
 *
 * @module
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { filesIn } from "../support/files_in.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

/** Milliseconds that a start may take, even on a busy machine. */
const START_LIMIT = 60_000;

/** Where a function is in its file. */
export interface Place {
  startOffset: number;
  endOffset: number;
}

/** What `deno run --coverage` writes about a file. */
interface Coverage {
  url: string;
  functions: { ranges: (Place & { count: number })[] }[];
}

/**
 * Changes the files of a package that is a folder.
 *
 * @throws {Error} if a start does not work, before or after the change
 */
export async function makeEager(folder: string): Promise<void> {
  const place = pathToFileURL(resolve(folder)).href;
  for (const { url, functions } of await coverageOf(place)) {
    if (!url.startsWith(`${place}/`)) continue;
    const called = functions.flatMap(({ ranges: [whole] }) =>
      whole !== undefined && whole.count > 0 ? [whole] : []
    );
    const file = new URL(url);
    const code = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, withEagerFunctions(code, called));
  }
  // The files still work.
  await coverageOf(place);
}

/** Runs `first_call.ts` with a package; returns which functions it called. */
async function coverageOf(place: string): Promise<Coverage[]> {
  await using folder = await temporaryFolder();
  const program = new URL("first_call.ts", import.meta.url).href;
  const signal = AbortSignal.timeout(START_LIMIT);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    signal,
    args: [
      ...["run", "-A", "--quiet", "--no-config", `--coverage=${folder.path}`],
      ...[program, `${place}/mod.js`],
    ],
    stdout: "null",
  }).output();
  if (!success) {
    const said = signal.aborted
      ? `it took longer than ${START_LIMIT} ms`
      : new TextDecoder().decode(stderr);
    throw new Error(`Cannot make a call with the package: ${said}`);
  }
  return [...filesIn(folder.path)].map((path) =>
    JSON.parse(Deno.readTextFileSync(`${folder.path}/${path}`))
  );
}

/**
 * Puts functions of a module into parentheses: those that are declared at the beginning
 * of a line. They become variables, which are set before anything else runs, as it is
 * with declarations. If they were constants, 64 calls at a time would take 1.3 times as
 * long, since each use has to check that a constant is set.
 *
 * @param code a file
 * @param called the functions, with others that are left as they are
 */
export function withEagerFunctions(
  code: string,
  called: readonly Place[],
): string {
  const [head] = /^(?:(?:\/\*|import ).*\n)*/.exec(code) ?? [""];
  let eager = "";
  let rest = "";
  let end = head.length;
  for (
    const { startOffset, endOffset } of called.toSorted((a, b) =>
      a.startOffset - b.startOffset
    )
  ) {
    const text = code.slice(startOffset, endOffset);
    const [, name] = /^(?:async )?function\*? ([\w$]+)\(/.exec(text) ?? [];
    const isInModule = startOffset === 0 || code[startOffset - 1] === "\n";
    if (name === undefined || !isInModule) continue;
    eager += `var ${name} = (${text});\n`;
    rest += code.slice(end, startOffset);
    end = endOffset;
  }
  return head + eager + rest + code.slice(end);
}
