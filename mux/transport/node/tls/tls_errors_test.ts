import { assert, assertEquals } from "@std/assert";
import { TlsError } from "../../../errors.ts";
import { alertOf, clientErrorOf, serverErrorOf } from "./tls_errors.ts";

/** An error of a runtime. */
function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Bytes of an alert, and those of a server that answered before it. */
const [ALERT, ANSWER] = [7, 1_200];
/** How Node, Deno and Bun report the alert `handshake_failure`. */
const REFUSALS = [
  failure(
    "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
    "error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure",
  ),
  failure(
    "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
    "received fatal alert: HandshakeFailure",
  ),
  failure(
    "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
    "error:10000410:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE",
  ),
];

Deno.test("clientErrorOf: a server of TLS 1.2 that refuses a client without a certificate demands one", () => {
  for (const cause of REFUSALS) {
    const error = clientErrorOf(cause, ANSWER, false);
    assert(error instanceof TlsError);
    assertEquals(error.code, "no-client-certificate");
    assertEquals(error.permanent, true);
    assertEquals(error.cause, cause);
  }
  // The alert of Go for the same.
  const cause = failure(
    "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
    "received fatal alert: BadCertificate",
  );
  const codeOf = (hasCertificate: boolean) =>
    (clientErrorOf(cause, ANSWER, hasCertificate) as TlsError).code;
  assertEquals(codeOf(false), "no-client-certificate");
  assertEquals(codeOf(true), "bad-certificate");
});

Deno.test("clientErrorOf: a refusal for another reason has a text that people can read", () => {
  for (const cause of REFUSALS) {
    for (
      const [received, hasCertificate] of [
        [ALERT, false],
        [ANSWER, true],
      ] as const
    ) {
      const error = clientErrorOf(cause, received, hasCertificate);
      assertEquals((error as TlsError).code, "handshake-failed");
      assertEquals((error as TlsError).permanent, true);
      assertEquals(
        error.message,
        "the server refuses the handshake: both may have no cipher in common",
      );
    }
  }
});

Deno.test("clientErrorOf: an echo server does not speak TLS", () => {
  // As Deno words it, with a code that it has for many errors.
  const echo = Object.assign(
    new Error(
      "received unexpected handshake message: got ClientHello when expecting ServerHello or HelloRetryRequest",
    ),
    { code: "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE" },
  );
  assertEquals((clientErrorOf(echo, 300, false) as TlsError).code, "not-tls");
});

Deno.test("clientErrorOf: a failure without a code of its own has the reason of OpenSSL", () => {
  const cause = Object.assign(
    new Error(
      "40ADD3EAF47F0000:error:0A000438:SSL routines:ssl3_read_bytes:tlsv1 alert internal error:rec_layer_s3.c:918:SSL alert number 80",
    ),
    {
      code: "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
      reason: "tlsv1 alert internal error",
    },
  );
  const error = clientErrorOf(cause, ANSWER, false);
  assertEquals((error as TlsError).code, "handshake-failed");
  assertEquals(error.message, "tlsv1 alert internal error");
});

Deno.test("serverErrorOf: a client that began as one of TLS speaks it, whatever the runtime makes of what follows", () => {
  const cause = failure("ERR_SSL_BAD_PACKET_LENGTH", "BAD_PACKET_LENGTH");
  for (
    const [sent, why] of [[0, "malformed"], [ALERT, "malformed"], [
      ANSWER,
      "may not trust",
    ]] as const
  ) {
    const error = serverErrorOf(cause, sent) as TlsError;
    assertEquals(error.code, "handshake-failed");
    assert(error.message.includes(why), error.message);
  }
});

Deno.test("alertOf: an alert is a record of TLS that says what is wrong", () => {
  assertEquals([...alertOf("not-tls")], [21, 3, 1, 0, 2, 2, 10]);
  assertEquals(alertOf("wrong-version")[6], 70);
  assertEquals(alertOf("wrong-protocol")[6], 120);
  assertEquals(alertOf("handshake-failed")[6], 40);
});

Deno.test("TlsError: it is permanent by its code, unless it is told", () => {
  const permanent = (...args: ConstructorParameters<typeof TlsError>) =>
    new TlsError(...args).permanent;
  assertEquals(permanent("expired", "old"), true);
  assertEquals(permanent("handshake-failed", "no"), false);
  assertEquals(permanent("handshake-failed", "no", { permanent: true }), true);
  const options = { permanent: undefined, cause: 1 };
  const error = new TlsError("truncated", "cut", options);
  assertEquals([error.permanent, error.cause], [false, 1]);
  // A cause that is not there is no cause of `undefined`.
  assertEquals("cause" in new TlsError("truncated", "cut"), false);
});
