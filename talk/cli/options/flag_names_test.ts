import { assertEquals } from "@std/assert";
import { CODEC_OPTION } from "./codec_option.ts";
import {
  DIAL_OPTIONS,
  LISTEN_AND_DIAL_OPTIONS,
  PEER_LISTEN_OPTIONS,
} from "./connection_options.ts";
import { type FlagContext, withFlagNames } from "./flag_names.ts";

const dialing: FlagContext = {
  flags: [...Object.keys({ ...DIAL_OPTIONS, codec: CODEC_OPTION }), "timeout"],
  dialPrefix: "",
};
const listening: FlagContext = {
  flags: [...Object.keys(PEER_LISTEN_OPTIONS), "known-as", "parallel"],
  dialPrefix: "",
};
const both: FlagContext = {
  flags: Object.keys(LISTEN_AND_DIAL_OPTIONS),
  dialPrefix: "dial-",
};

Deno.test("withFlagNames: an option of the library is named as the flag that sets it", () => {
  for (
    const [context, text, expected] of [
      [
        dialing,
        'Cannot dial "tls://h:1": the issuer is unknown: option "tls.ca" adds it, or "tls.pin" trusts "AB:CD"',
        'Cannot dial "tls://h:1": the issuer is unknown: --ca adds it, or --pin trusts "AB:CD"',
      ],
      [
        dialing,
        'Cannot dial "tcp://h:1": no connection within 5 ms (option "timeout")',
        'Cannot dial "tcp://h:1": no connection within 5 ms (--timeout)',
      ],
      [
        dialing,
        'it looks like cbor; use the same option "codec" at both ends, or list both in "codecs" of the responder',
        "it looks like cbor; use the same --codec at both ends, or list both in --codec of the responder",
      ],
      [
        listening,
        'Cannot listen on "peer:a@tls://h:1": the fingerprint in the address is not that of option "tls.cert", which is "AB"',
        'Cannot listen on "peer:a@tls://h:1": the fingerprint in the address is not that of --cert, which is "AB"',
      ],
      [
        listening,
        'the certificate of the peer is not one of option "tls.pin"',
        "the certificate of the peer is not one of --peer-pin",
      ],
      [
        listening,
        'Cannot use option "identities": "x" is no fingerprint',
        'Cannot use --known-as: "x" is no fingerprint',
      ],
      [
        listening,
        'option "reusePort" needs the flag --unstable-net of Deno',
        "--parallel needs the flag --unstable-net of Deno",
      ],
      [
        listening,
        'the options "tls.cert" and "tls.key" are missing',
        "--cert and --key are missing",
      ],
      [
        both,
        'Cannot dial "tls://h:1": option "tls.key" does not belong to "tls.cert"',
        'Cannot dial "tls://h:1": --dial-key does not belong to --dial-cert',
      ],
      [
        both,
        'Cannot listen on "tls://h:1": option "tls.key" does not belong to "tls.cert"',
        'Cannot listen on "tls://h:1": --key does not belong to --cert',
      ],
      [
        { ...both, dialPrefix: "" },
        'Cannot dial "tls://h:1": option "tls.ca" adds it, or "tls.pin" trusts it',
        'Cannot dial "tls://h:1": --ca adds it, or --pin trusts it',
      ],
    ] as const
  ) assertEquals(withFlagNames(text, context), expected);
});

Deno.test("withFlagNames: at peer:, the rendezvous has flags of its own", () => {
  const why =
    'option "rendezvous.tls.ca" adds it, or "rendezvous.tls.pin" trusts "AB"';
  const flags = '--rendezvous-ca adds it, or --rendezvous-pin trusts "AB"';
  for (const context of [dialing, listening, both]) {
    for (const what of ["dial", "listen on"]) {
      const outer = `Cannot ${what} "peer:bob@tls://h:1#sha256:ab"`;
      const text = `${outer}: Cannot dial "tls://h:1": `;
      assertEquals(withFlagNames(text + why, context), text + flags);
    }
  }
  assertEquals(
    withFlagNames(
      'Cannot dial "peer:b@tls://h:1": the certificate of the peer is not one of option "tls.pin"',
      dialing,
    ),
    'Cannot dial "peer:b@tls://h:1": the certificate of the peer is not one of --pin',
  );
});

Deno.test("withFlagNames: an option that no flag sets is no hint, and other words stay", () => {
  for (
    const [text, expected] of [
      [
        'no byte arrived for 28 s (option "keepAlive")',
        "no byte arrived for 28 s",
      ],
      ['Cannot call "tls.ca.x" or "timeout"', undefined],
      ['the limit of option "maxDepth"', undefined],
    ] as const
  ) assertEquals(withFlagNames(text, listening), expected ?? text);
});
