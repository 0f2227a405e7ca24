// The client process of main.ts: `client.ts CURVE ADDRESS`. Prints a line of JSON
// for each point.

import { type Curve, type CurveName, CURVES } from "./curves.ts";

const [name, address] = Deno.args as [CurveName, string];
const curve: Curve = CURVES[name];
for await (const point of curve.measure(address)) {
  console.log(JSON.stringify(point));
}
Deno.exit();
