import { untilAborted } from "../../../time_limit.ts";
import { hashOf } from "../../quic/certificate_hash.ts";
import { handshakeError } from "../../quic/errors.ts";
import type { Transport } from "../../types.ts";
import { pinsOf } from "../node/tls/tls_options.ts";
import type { TlsDialOptions } from "../types.ts";
import { OPENING, webTransportTransport } from "./transport.ts";
import type { WebTransportConstructor, WebTransportLike } from "./types.ts";

/**
 * Connects to a WebTransport server, in browsers and in Deno.
 *
 * @param url the address, with the scheme `https:`
 * @param signal aborts the attempt
 * @param tls the certificates that are trusted; only `pin` is possible
 * @throws {TypeError} if an option is not valid, or the runtime has no WebTransport or
 * none for this address
 * @throws {TlsError} if Deno says that the server is not who it should be
 */
export async function dialWebTransport(
  url: URL,
  signal: AbortSignal,
  tls: TlsDialOptions = {},
): Promise<Transport> {
  for (const [name, value] of Object.entries(tls)) {
    if (name !== "pin" && value !== undefined) {
      throw new TypeError(
        `Cannot use option "tls.${name}" with wt: WebTransport has no such option`,
      );
    }
  }
  const pins = pinsOf(tls.pin);
  const session = sessionTo(url, {
    ...(pins !== undefined && { serverCertificateHashes: pins.map(hashOf) }),
  });
  // Whatever fails because of this rejects with the same reason.
  session.closed.catch(() => {});
  try {
    return await untilAborted(openTransport(session), signal);
  } catch (error) {
    abandon(session);
    if (signal.aborted) throw signal.reason;
    const failure = handshakeError(error, pins !== undefined);
    throw failure === error ? refused(error) : failure;
  }
}

async function openTransport(session: WebTransportLike): Promise<Transport> {
  await session.ready;
  const stream = await session.createBidirectionalStream();
  const writer = stream.writable.getWriter();
  await writer.write(new Uint8Array([OPENING]));
  writer.releaseLock();
  return webTransportTransport(session, stream);
}

/**
 * Runtimes give no usable reason: a browser gives none, and Deno names its internals.
 */
function refused(cause: unknown): Error {
  return new Error(
    "no WebTransport session was established: the server refuses it, has none at this path, or has a certificate that is not trusted",
    { cause },
  );
}

/** Closes a session, which may not be established yet. */
function abandon(session: WebTransportLike): void {
  try {
    session.close();
  } catch {
    // Deno cannot do so before it is established.
    session.ready.then(() => session.close()).catch(() => {});
  }
}

function sessionTo(
  url: URL,
  options: ConstructorParameters<WebTransportConstructor>[1],
): WebTransportLike {
  const WebTransport = constructorOf();
  try {
    return new WebTransport(url.href, options);
  } catch (cause) {
    // Deno takes the brackets for a part of the address (denoland/deno#29556).
    if (!("Deno" in globalThis) || !url.hostname.startsWith("[")) throw cause;
    throw new TypeError(
      "Deno's WebTransport takes no address of IPv6; use a name, or quic:",
      { cause },
    );
  }
}

function constructorOf(): WebTransportConstructor {
  const { WebTransport } = globalThis as unknown as {
    WebTransport?: WebTransportConstructor;
  };
  if (WebTransport !== undefined) return WebTransport;
  throw new TypeError(
    "Deno" in globalThis
      ? "Deno has WebTransport only with the flag --unstable-net, which is missing"
      : "this runtime has no WebTransport",
  );
}
