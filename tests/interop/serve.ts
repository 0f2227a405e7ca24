// The Deno mirror of `interop serve`: serves the service of service.ts.
//
//   deno run --allow-net=127.0.0.1 tests/interop/serve.ts tcp
//   deno run --allow-net=127.0.0.1 tests/interop/serve.ts ws
//   deno run --allow-net --allow-read --allow-write tests/interop/serve.ts unix PATH
//   deno run tests/interop/serve.ts stdio
//
// Prints "listening HOST:PORT" or "listening PATH". On stdio it ends with the
// session; else it runs until it is stopped.

import { dial, listen } from "@qtalk/qtalk";
import { interopService, MAX_VALUE_SIZE } from "./service.ts";

const [transport, path] = Deno.args;
const options = {
  handler: interopService(),
  maxValueSize: MAX_VALUE_SIZE,
  onError: (error: unknown, { selector }: { selector: string | undefined }) =>
    print(Deno.stderr, `serve: ${selector ?? "session"}: ${error}`),
};

function print(to: { writeSync(bytes: Uint8Array): number }, line: string) {
  to.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (transport === "stdio") {
  await using peer = await dial("stdio:", options);
  await peer.closed;
} else {
  await using listener = await listen(
    transport === "unix" ? `unix:${path}` : `${transport}://127.0.0.1:0`,
    options,
  );
  print(
    Deno.stdout,
    `listening ${listener.addr.replace(/^(\w+:\/\/|unix:)|\/$/g, "")}`,
  );
  await listener.closed;
}
