import { json } from "../../../codec/internal.ts";
import {
  type RendezvousOptions,
  rendezvousService,
} from "../../rendezvous/internal.ts";
import { count, defineCommand } from "../command.ts";
import { LISTEN_OPTIONS, listenSecurity } from "../connection_options.ts";
import { UsageError } from "../exit_code.ts";
import {
  DRAIN_OPTION,
  drainTimeoutFrom,
  serveUntilStopped,
  VERBOSE_OPTION,
} from "../serve_until_stopped.ts";

/** `qtalk rendezvous`. */
export const rendezvous = defineCommand({
  name: "rendezvous",
  summary: "Lets peers behind NATs meet under names",
  usage: ["rendezvous ADDRESS"],
  about:
    `Runs on a machine that all peers reach. A peer listens at peer:NAME@ADDRESS, and
others dial that name. They connect from machine to machine if a way opens within
two seconds, and through this service otherwise; it can read nothing of what they
say. ADDRESS should be quic:, which needs deno --unstable-net; at others, it does
not learn how peers are reached directly.

  qtalk cert peer --out keys --name meet
  qtalk rendezvous quic://0.0.0.0:4433 --cert keys/peer.pem --key keys/peer.key`,
  options: {
    "max-names": {
      type: "string",
      value: "N",
      about: "names in all (default 4096)",
    },
    "max-relays": {
      type: "string",
      value: "N",
      about: "connections that are relayed at once (default 256)",
    },
    drain: DRAIN_OPTION,
    verbose: VERBOSE_OPTION,
    ...LISTEN_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const [address, ...others] = words;
    if (address === undefined || others.length > 0) {
      throw new UsageError(
        `Cannot start a rendezvous: expected an address, got ${words.length} words`,
      );
    }
    const limits: RendezvousOptions = {
      maxNames: count("max-names", options["max-names"]),
      maxRelays: count("max-relays", options["max-relays"]),
    };
    return await serveUntilStopped(address, {
      handler: rendezvousService(limits),
      codecs: [json()],
      terminal,
      drainTimeout: drainTimeoutFrom(options.drain),
      verbose: options.verbose,
      ...await listenSecurity(address, options),
    });
  },
});
