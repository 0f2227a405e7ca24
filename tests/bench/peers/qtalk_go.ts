import { CHUNK_SIZE, LINK, type MeasureName, measureOf } from "../measures.ts";
import type { CommandLine, Peer } from "../peer.ts";
import { script } from "../peer.ts";
import { unixAddress } from "./sockets.ts";

/** The reference, by the Go program of tests/interop/go/. */
export function qtalkGo(
  binary: string,
  name: string,
  measures: readonly MeasureName[],
): Peer {
  return {
    name,
    measures,
    // A line for every channel that ends without a call.
    chatty: true,
    server: (transport) => [
      binary,
      ...["bench-server", transport],
      ...transport === "unix" ? [unixAddress()] : [],
    ],
    client(measure, address, { seconds, warmup, bytes }) {
      const { task, size = 1, transport = "tcp" } = measureOf(measure);
      const flags = task === "send"
        ? ["--mode", "bytes", "--total", `${bytes}`, "--chunk", `${CHUNK_SIZE}`]
        : [
          ...["--inflight", `${size}`],
          ...["--seconds", `${seconds}`, "--warmup", `${warmup}`],
        ];
      const where = transport === "stdio"
        ? ["exec", ...flags, "--", binary, "serve", "stdio"]
        : [transport, bareAddress(address), ...flags];
      return [binary, "bench-client", ...where];
    },
    parse(line, measure) {
      const { callsPerSecond, mibPerSecond, p50us, p99us } = JSON.parse(line);
      if (measureOf(measure).task === "roundTrips") {
        return { value: p50us / 1_000 / LINK.roundTrip };
      }
      return mibPerSecond === undefined
        ? { value: callsPerSecond, p50: p50us, p99: p99us }
        : { value: mibPerSecond * 1024 ** 2 / 1e6 };
    },
  };
}

/** The client of the reference on this package's server. */
export function goToQtalk(
  binary: string,
  name: string,
  measures: readonly MeasureName[],
): Peer {
  const server = (transport: string): CommandLine =>
    script("server.ts", "qtalk", transport);
  return { ...qtalkGo(binary, name, measures), server };
}

/** What Go's client takes: no scheme. */
function bareAddress(address: string): string {
  return address.replace(/^tcp:\/\//, "");
}
