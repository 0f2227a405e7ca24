// The Deno mirror of `interop serve`: serves the service of service.ts.
//
//   deno run --allow-net=127.0.0.1 tests/interop/serve.ts tcp
//   deno run --allow-net=127.0.0.1 tests/interop/serve.ts ws
//   deno run --allow-net --allow-read --allow-write tests/interop/serve.ts unix PATH
//   deno run tests/interop/serve.ts stdio
//   deno run --unstable-net -A tests/interop/serve.ts quic CERT KEY
//
// Prints "listening HOST:PORT" or "listening PATH". On stdio it ends with the
// session; else it runs until it is stopped.

import { dial, listen } from "@qtalk/qtalk";
import { interopService, MAX_VALUE_SIZE } from "./service.ts";

const [transport, path, key = ""] = Deno.args;
const options = {
  handler: interopService(),
  maxValueSize: MAX_VALUE_SIZE,
  onError: (error: unknown, { selector }: { selector: string | undefined }) =>
    print(Deno.stderr, `serve: ${selector ?? "session"}: ${error}`),
};

/** A client that was killed says nothing, and is missed soon. */
const KEEP_ALIVE = { keepAlive: { interval: 2_000, timeout: 6_000 } };

function print(to: { writeSync(bytes: Uint8Array): number }, line: string) {
  to.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (transport === "stdio") {
  await using peer = await dial("stdio:", options);
  await peer.closed;
} else {
  await using listener = await listen(
    transport === "unix" ? `unix:${path}` : `${transport}://127.0.0.1:0`,
    transport === "quic"
      ? {
        ...options,
        tls: { cert: path!, key },
        session: KEEP_ALIVE,
        plainStreams: true,
      }
      : options,
  );
  print(
    Deno.stdout,
    `listening ${listener.addr.replace(/^(\w+:\/\/|unix:)|\/$/g, "")}`,
  );
  await listener.closed;
}
