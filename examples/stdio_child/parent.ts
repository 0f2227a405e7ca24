// Starts a program and calls it over its standard input and output.
//
//   deno run --allow-run=deno examples/stdio_child/parent.ts
//
// Prints:
//
//   dlrow olleh
//   5 words

import { dialCommand } from "@qtalk/qtalk";

const child = new Deno.Command("deno", {
  args: ["run", new URL("child.ts", import.meta.url).href],
  stdin: "piped",
  stdout: "piped",
});

// The peer owns the child: closing it ends the child.
await using peer = dialCommand(child);

console.log(await peer.call("reverse", ["hello world"]));
console.log(await peer.call("count", ["one two three four five"]), "words");
