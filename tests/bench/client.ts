// The client process of a Deno peer: `client.ts PEER MEASURE ADDRESS OPTIONS`.

import {
  ECHO_VALUE,
  type MeasureName,
  measureOf,
  type MeasureOptions,
} from "./measures.ts";
import { loadDenoPeer } from "./peer.ts";
import { TASKS } from "./tasks.ts";

const [file, name, address, options] = Deno.args as [
  string,
  MeasureName,
  string,
  string,
];
const peer = await loadDenoPeer(file);
const { task, size = 1, characters } = measureOf(name);
const sample = await TASKS[task]({
  connect: () => peer.connect(address),
  size,
  value: characters === undefined ? ECHO_VALUE : "x".repeat(characters),
  options: JSON.parse(options) as MeasureOptions,
});
console.log(JSON.stringify(sample));
// Some libraries leave something behind that would keep the process.
Deno.exit(0);
