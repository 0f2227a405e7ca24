// Listens, dials and makes one call, with the package whose `mod.js` is at an address:
// `first_call.ts URL`. It shows which functions a start calls.

const { dial, handlerFrom, listen }: typeof import("../../mod.ts") =
  await import(Deno.args[0]!);

const service = { add: (a: number, b: number) => a + b };
const listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(service),
});
const peer = await dial(listener.addr);
if (await peer.call("add", [1, 2]) !== 3) throw new Error("Wrong sum");
Deno.exit();
