import { json } from "../../../codec/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import type {
  RendezvousOptions,
  RendezvousService,
  rendezvousService,
} from "../../rendezvous/internal.ts";
import { count, defineCommand } from "../command.ts";
import { LISTEN_OPTIONS } from "../options/connection_options.ts";
import { listenSecurity } from "../options/connection_security.ts";
import { UsageError } from "../exit_code.ts";
import { moduleUrl } from "../../../module_url.ts";
import {
  DRAIN_OPTION,
  drainTimeoutFrom,
  serveUntilStopped,
  VERBOSE_OPTION,
} from "../serve_until_stopped.ts";

/** The module of the service, which no other command needs. */
const SERVICE = "talk/rendezvous/mod";

/** `qtalk rendezvous`. */
export const rendezvous = defineCommand({
  name: "rendezvous",
  summary: "Lets peers behind NATs meet under names",
  usage: ["rendezvous ADDRESS"],
  about: `Run it on a machine that all peers can reach. A peer listens at
peer:NAME@ADDRESS, and others dial that name. They connect directly if that
succeeds within two seconds, and through this service until it does; the service
cannot read what they send. ADDRESS should be quic:, which needs deno
--unstable-net: at other addresses, the service does not learn how to reach
peers directly.

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
    "known-as": {
      type: "string",
      multiple: true,
      value: "HOST",
      about: "peers dial this (default: the names in --cert)",
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
    if (/^peer:/i.test(address)) {
      throw new UsageError(
        `Cannot start a rendezvous at "${
          redactedAddress(address)
        }": that is an address of a peer`,
      );
    }
    const limits: RendezvousOptions = {
      maxNames: count("max-names", options["max-names"]),
      maxRelays: count("max-relays", options["max-relays"]),
    };
    const identities = options["known-as"];
    const security = await listenSecurity(address, options);
    const module = await import(moduleUrl(SERVICE)) as {
      rendezvousService: typeof rendezvousService;
    };
    let handler: RendezvousService;
    try {
      handler = module.rendezvousService({ ...limits, identities });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new UsageError(
        `Cannot use --known-as: ${
          JSON.stringify(identities)
        } has something that is neither a host nor a fingerprint`,
        { cause: error },
      );
    }
    return await serveUntilStopped(address, {
      handler,
      codecs: [json()],
      terminal,
      drainTimeout: drainTimeoutFrom(options.drain),
      verbose: options.verbose,
      ...security,
    });
  },
});
