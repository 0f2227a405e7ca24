import {
  codecName,
  INTEROP_CODEC_OPTION,
  loadCodec,
} from "../options/codec_option.ts";
import { defineCommand } from "../command.ts";
import { PEER_LISTEN_OPTIONS } from "../options/connection_options.ts";
import { listenSecurity } from "../options/connection_security.ts";
import { UsageError } from "../exit_code.ts";
import { interopService } from "../peers/interop_service.ts";
import { serveUntilStopped } from "../serve_until_stopped.ts";

/** `qtalk interop`. */
export const interop = defineCommand({
  name: "interop",
  summary: "Serves the functions that qtalk check and qtalk bench call",
  usage: ["interop [ADDRESS]"],
  about:
    `Listens at ADDRESS, or serves stdin and stdout. The functions are Error, Unary,
Stream and Bytes; the last three call their caller back. The codec is CBOR
unless --codec or the variable QTALK_CODEC names another one.`,
  options: { codec: INTEROP_CODEC_OPTION, ...PEER_LISTEN_OPTIONS },
  async run({ words, options, terminal }) {
    const [address = "stdio:", ...others] = words;
    if (others.length > 0) {
      throw new UsageError(
        `Cannot serve: expected one address, got ${words.length}`,
      );
    }
    const security = await listenSecurity(address, options);
    const codec = await loadCodec(codecName(options.codec, "cbor"));
    return await serveUntilStopped(address, {
      handler: interopService(),
      codecs: [codec],
      terminal,
      drainTimeout: 0,
      ...security,
    });
  },
});
