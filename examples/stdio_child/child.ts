// Answers calls on standard input and output. Started by parent.ts, without any
// permission: whoever starts a program may talk to it.

import { dial, handlerFrom } from "@qtalk/qtalk";

const service = {
  reverse: (text: string) => [...text].reverse().join(""),
  count: (text: string) => text.split(/\s+/).length,
};

// Standard output belongs to the conversation: log with console.error().
await using peer = await dial("stdio:", { handler: handlerFrom(service) });
await peer.closed;
