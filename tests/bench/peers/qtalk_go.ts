import { CHUNK_SIZE, type Sample } from "../measures.ts";
import type { Peer } from "../peer.ts";

/** The reference, by the Go program of tests/interop/go/. */
export function qtalkGo(binary: string): Peer {
  return {
    name: "qtalk-go",
    measures: ["unary-1", "unary-64", "bytes"],
    server: () => [binary, "bench-server", "tcp"],
    client(measure, address, { seconds, warmup, bytes }) {
      const command = [binary, "bench-client", "tcp", address] as const;
      return measure === "bytes"
        ? [
          ...command,
          ...["--mode", "bytes", "--total", `${bytes}`],
          ...["--chunk", `${CHUNK_SIZE}`],
        ]
        : [
          ...command,
          ...["--inflight", measure === "unary-1" ? "1" : "64"],
          ...["--seconds", `${seconds}`, "--warmup", `${warmup}`],
        ];
    },
    parse(line) {
      const { callsPerSecond, mibPerSecond, p50us, p99us } = JSON.parse(line);
      const sample: Sample = { value: callsPerSecond ?? mibPerSecond };
      if (p50us !== undefined) sample.p50 = p50us;
      if (p99us !== undefined) sample.p99 = p99us;
      return sample;
    },
  };
}
