// Answers calls over standard input and output. Started by parent.ts, without
// any permission, which stdin and stdout do not need.

import { dial, handlerFrom } from "@qtalk/qtalk";

const service = {
  reverse: (text: string) => [...text].reverse().join(""),
  count: (text: string) => text.split(/\s+/).length,
};

// Standard output carries frames only: log with console.error().
await using peer = await dial("stdio:", { handler: handlerFrom(service) });
await peer.closed;
