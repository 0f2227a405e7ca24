// Phrases that do not belong in the documentation, the specifications or the
// comments of the library: they are translated, old-fashioned or vague.

import { assertEquals } from "@std/assert";
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

/** What users read, and the comments of the library. */
function* checkedFiles(): Generator<string> {
  for (const path of files()) {
    if (path.startsWith("tests/") && !path.endsWith("LOG.md")) continue;
    if (path === "tests/bench/LOG.md" || path.startsWith("examples/")) continue;
    if (path.endsWith(".md")) yield path;
    else if (path.endsWith(".ts") && !path.endsWith("_test.ts")) yield path;
  }
}

for (const path of checkedFiles()) {
  Deno.test(`prose: ${path} has no phrase that is to be avoided`, () => {
    assertEquals(offences(path), []);
  });
}
