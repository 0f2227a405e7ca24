// Phrases that do not belong in the documentation, the specifications or the
// comments of the library: they are translated, old-fashioned or vague.

import { assert, assertEquals } from "@std/assert";
import { files, prose, read } from "./support/docs.ts";

const PHRASES: readonly RegExp[] = [
  /\bnobody\b/i,
  /\bsomebody\b/i,
  /\banybody\b/i,
  /\bwhoever\b/i,
  /\b(?:is|are|was|were) told\b/i,
  /\bmakes? no sense\b/i,
  /\bas far as .{1,30} goes?\b/i,
  /\bin (?:his|her|its) turn\b/i,
  // "Who reads much …", but not a question.
  /(?:^|[.:;] )who [^?]*$/im,
  // For "after": "behind the response".
  /\bbehind (?:the|this|its|our|a|each|it|them) ?(?:values?|response|header|answer|argument|CLOSE|EOF|DATA|OPEN)?(?=[ .,;:]|$)/i,
  /\bthat is none\b/i,
  /\bfor ever\b/i,
  /\banew\b/i,
  /\bever (?:later|longer)\b/i,
];

/** Where "behind" is meant: one thing stands in front of another. */
const ALLOWED =
  /\bbehind (?:a|the|its|something that) (?:proxy|load balancer|firewall|NAT)\b/i;

/** What a file says in sentences, a line each with its number. */
function* sentences(path: string): Generator<[number, string]> {
  const text = path.endsWith(".md") ? prose(read(path)) : read(path);
  const lines = text.split("\n");
  for (const [i, line] of lines.entries()) {
    const said = path.endsWith(".md")
      ? line
      : /^\s*(?:\/\*\*|\*|\/\/)\s?(.*)$|\/\/ (.*)$/.exec(line)?.slice(1)
        .find((part) => part !== undefined);
    if (said !== undefined) yield [i + 1, said];
  }
}

/** The offences of a file, as `path:line: what it says`. */
function offences(path: string): string[] {
  const found: string[] = [];
  for (const [line, text] of sentences(path)) {
    if (ALLOWED.test(text)) continue;
    if (PHRASES.some((phrase) => phrase.test(text))) {
      found.push(`${path}:${line}: ${text.trim()}`);
    }
  }
  return found;
}

const ALL = [...files()];
const GROUPS: Record<string, readonly string[]> = {
  "the documentation": ALL.filter((path) =>
    path.endsWith(".md") && !path.startsWith("tests/bench/")
  ),
  ...Object.fromEntries(
    ["codec", "mux", "rpc", "talk", ""].map((folder) => [
      `the comments of ${folder === "" ? "the root" : `${folder}/`}`,
      ALL.filter((path) =>
        /(?<!_test)\.ts$/.test(path) &&
        (folder === "" ? !path.includes("/") : path.startsWith(`${folder}/`))
      ),
    ]),
  ),
};

for (const [group, paths] of Object.entries(GROUPS)) {
  Deno.test(`prose: ${group} avoid the phrases that are listed here`, () => {
    assert(paths.length > 0, "there are such files");
    assertEquals(paths.flatMap(offences), []);
  });
}
