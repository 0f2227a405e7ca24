// An isolate of examples/deploy, as a worker of tests/support/deploy_isolates.ts:
// started by its options, says where it serves, and closes when it is told to.

import { type App, startApp } from "../../examples/deploy/app.ts";

let app: App | undefined;
self.addEventListener("message", async ({ data }: MessageEvent) => {
  if (data === "close") {
    await app!.close({ drainTimeout: 1_000 });
    self.postMessage("closed");
    self.close();
  } else {
    app = await startApp(data);
    self.postMessage(app.url);
  }
});

declare const self: Worker & { close(): void };
