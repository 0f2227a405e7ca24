import { CODEC_OPTION, codecName, loadCodec } from "../codec_option.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../exit_code.ts";
import { interopService } from "../peers/interop_service.ts";
import { serveUntilStopped } from "../run_until_stopped.ts";

/** `qtalk interop`. */
export const interop = defineCommand({
  name: "interop",
  summary: "Serves what check, of this program or of qtalk-go, checks",
  usage: ["interop [ADDRESS]"],
  about:
    `Over stdin and stdout, or at ADDRESS. The functions are Error, Unary, Stream and
Bytes; the last three call their caller back. The codec is CBOR unless --codec
or the variable QTALK_CODEC names another.`,
  options: { codec: CODEC_OPTION },
  async run({ words, options, terminal }) {
    const [address = "stdio:", ...others] = words;
    if (others.length > 0) {
      throw new UsageError(
        `Cannot serve: expected one address, got ${words.length}`,
      );
    }
    const codec = await loadCodec(codecName(options.codec, "cbor"));
    return await serveUntilStopped(
      address,
      interopService(),
      [codec],
      terminal,
    );
  },
});
