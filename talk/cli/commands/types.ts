import { redactedAddress } from "../../../printable_text.ts";
import {
  ASK_OPTIONS,
  fetchDescription,
} from "../description/ask_description.ts";
import { defineCommand, positive } from "../command.ts";
import {
  declarationText,
  interfaceName,
} from "../description/declaration_text.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { describedTarget } from "./describe.ts";

/** `qtalk types`. */
export const types = defineCommand({
  name: "types",
  summary: "Writes the types of a service, for TypeScript",
  usage: ["types ADDRESS [SELECTOR]"],
  about: `Asks the server to describe itself, and writes an interface for
peer.remote<Service>(). Types that the service does not describe are unknown:
methods without a contract describe neither their arguments nor their results.

  qtalk types tcp://127.0.0.1:9999 --output math.d.ts
  qtalk types tcp://127.0.0.1:9999 --name Math >math.d.ts`,
  options: {
    output: {
      type: "string",
      short: "o",
      value: "FILE",
      about: "write to this file (default: standard output)",
    },
    name: {
      type: "string",
      value: "NAME",
      about: "the name of the interface (default: of the service)",
    },
    ...ASK_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const { address, selector } = describedTarget(words, "write types");
    const seconds = positive("timeout", options.timeout);
    if (
      options.name !== undefined && !/^[A-Za-z_$][\w$]*$/.test(options.name)
    ) {
      throw new UsageError(
        `Cannot use --name: "${options.name}" is not a valid name in TypeScript`,
      );
    }
    const description = await fetchDescription(
      { address, selector },
      seconds,
      options,
      terminal,
    );
    const from = redactedAddress(address);
    const name = options.name ?? interfaceName(description.name);
    const text = declarationText(description, name, from);
    if (options.output === undefined) terminal.print(text);
    else await Deno.writeTextFile(options.output, `${text}\n`);
    return EXIT.ok;
  },
});
