import { redactedAddress } from "../../printable_text.ts";
import { dial, type DialOptions } from "../dial/dial.ts";
import type { Peer } from "../peer.ts";
import { loadCodec } from "./options/codec_option.ts";
import type { GivenDialOptions } from "./options/connection_options.ts";
import { dialSecurity } from "./options/connection_security.ts";
import type { Terminal } from "./terminal.ts";

/** What a command gives {@linkcode dialPeer}, besides where and how to connect. */
export interface DialPeerOptions
  extends Pick<DialOptions, "handler" | "resume"> {
  /** Milliseconds for connecting. Default: that of `dial()`. */
  timeout?: number;
}

/**
 * Dials the address that a command is given, and shows that it does.
 *
 * @param codec the name of the codec
 * @param given the options of the command
 * @throws {UsageError} if an option is not valid, or not for that address
 */
export async function dialPeer(
  address: string,
  codec: string,
  given: GivenDialOptions,
  terminal: Terminal,
  options: DialPeerOptions = {},
): Promise<Peer> {
  const security = await dialSecurity(address, given, terminal);
  return await terminal.waiting(
    `Connecting to ${redactedAddress(address)}`,
    dial(address, { codec: await loadCodec(codec), ...options, ...security }),
  );
}
