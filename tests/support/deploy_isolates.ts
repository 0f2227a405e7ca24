// Two isolates of examples/deploy in one process, on one database:
//
//   deno run -A --unstable-kv tests/support/deploy_isolates.ts FILE
//
// Prints the address of each, and closes them when its standard input ends. They
// never read again by the clock: what one hears of the other, `watch()` says.

const options = { port: 0, path: Deno.args[0], rereadEvery: 0 };

const isolates = [1, 2].map(() =>
  new Worker(new URL("deploy_isolate.ts", import.meta.url), { type: "module" })
);

function ask(isolate: Worker, question: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    isolate.onmessage = ({ data }) => resolve(data);
    isolate.onerror = reject;
    isolate.postMessage(question);
  });
}

for (const isolate of isolates) {
  console.log(`serving on ${await ask(isolate, options)}`);
}
for await (const _ of Deno.stdin.readable);
for (const isolate of isolates) console.log(await ask(isolate, "close"));
