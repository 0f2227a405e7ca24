// What `deno serve` runs: see talk/listener/serve_websocket_test.ts.

import { handlerFrom } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";

export default {
  fetch: serveWebSocket({
    handler: handlerFrom({ echo: (value: unknown) => value }),
    fallback: () => new Response("a page"),
  }),
} satisfies Deno.ServeDefaultExport;
