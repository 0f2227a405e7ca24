import { redactedAddress } from "../../../printable_text.ts";
import { defineCommand, positive } from "../command.ts";
import { ASK_OPTIONS, fetchHealth } from "../description/ask_description.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { splitAddress } from "../options/target.ts";
import { formatValue, highlight } from "../value_text.ts";

/** `qtalk health`. */
export const health = defineCommand({
  name: "health",
  summary: "Asks a server whether it can do its work",
  usage: ["health ADDRESS"],
  about:
    `Calls /_qtalk/health, which qtalk serve and programs with withReflection()
answer, and prints the answer. For the health checks of containers and load
balancers.

It fails with exit code 1 if the server is not serving or does not tell, and
with exit code 3 if there was no connection or no answer.

  qtalk health tcp://127.0.0.1:9999 --timeout 2`,
  options: ASK_OPTIONS,
  async run({ words, options, terminal }) {
    const [first, ...others] = words;
    if (first === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot ask for health: expected one address, got ${words.length}`,
      );
    }
    const { address, selector } = splitAddress(first);
    if (selector !== undefined) {
      throw new UsageError(
        `Cannot ask "${
          redactedAddress(first)
        }" for health: expected an address without a selector`,
      );
    }
    const answer = await fetchHealth(
      address,
      positive("timeout", options.timeout),
      options,
      terminal,
    );
    terminal.print(
      highlight(
        formatValue(answer),
        (style, text) => terminal.onResult(style, text),
      ),
    );
    return answer.status === "serving" ? EXIT.ok : EXIT.remote;
  },
});
