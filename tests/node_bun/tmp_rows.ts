import { EXCEPTIONS } from "./exceptions.ts";
import { RUNTIME_NAMES } from "./suites.ts";
const rows = EXCEPTIONS.map(({ on, reason, issue, sometimes }) =>
  `| ${
    on.length === 3 ? "all" : on.length === 2 ? "Node" : RUNTIME_NAMES[on[0]!]
  } | ${reason} | ${
    issue === undefined
      ? ""
      : `[${issue}](https://github.com/${issue.replace("#", "/issues/")})`
  } | ${sometimes ? "yes" : ""} |`
);
const f = new URL("../../docs/runtimes.md", import.meta.url);
const t = Deno.readTextFileSync(f);
const at = t.indexOf("| where |");
Deno.writeTextFileSync(
  f,
  t.slice(0, at) +
    "| where | why | upstream | passes at times |\n| - | - | - | - |\n" +
    rows.join("\n") + "\n",
);
