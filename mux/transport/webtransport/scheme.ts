import "../../internal.ts"; // Keeps bundles in few chunks.
import { portZero } from "../../errors.ts";
import { loadTransport } from "../load_transport.ts";
import type { Scheme } from "../types.ts";
import { dialWebTransport } from "./dial.ts";

/** `wt://host:port/path`: WebTransport at `https://host:port/path`. */
export const webTransport: Scheme = {
  async connect(rest, signal, { tls } = {}) {
    const url = parse(rest);
    if (url.port === "0") throw portZero();
    return await dialWebTransport(url, signal, tls);
  },
  async listen(rest, options = {}, handshake) {
    const url = parse(rest);
    const { listenWebTransport } = await loadTransport(import("./listen.ts"));
    return listenWebTransport(url, options, handshake);
  },
};

function parse(rest: string): URL {
  const text = `https:${rest}`;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !rest.startsWith("//") || url.username || url.password) {
    throw new SyntaxError("expected wt://host[:port]/path");
  }
  url.hash = "";
  return url;
}
