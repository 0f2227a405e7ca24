// Decodes one value of full size in a process of its own, which it may cost.
//
//   deno run -A tests/fuzz/worst/decode_once.ts CODEC GENE SIZE
//
// GENE is in JSON. Prints the milliseconds of the first time and the bytes that
// the process grew by at its peak.

import { collectGarbage } from "../../support/memory.ts";
import { resetPeak, resident, residentPeak } from "../../hostile/resident.ts";
import { CODECS } from "../codec_list.ts";
import { timeOf } from "./cost.ts";
import { build, type Gene } from "./gene.ts";

/** Bytes of the values that the engine warms up with. */
const WARM = 64 * 1024;

const [name, text, size] = Deno.args;
const { format, make } = CODECS[name!]!;
const gene = JSON.parse(text!) as Gene;
const codec = make();
timeOf(codec, build(format, gene, WARM), 20);
const bytes = build(format, gene, Number(size));
collectGarbage();
await resetPeak(Deno.pid);
const before = await resident(Deno.pid);
const ms = timeOf(codec, bytes, 1);
const peak = await residentPeak(Deno.pid);
const grown = peak === undefined || before === undefined
  ? undefined
  : peak - before;
console.log(JSON.stringify({ ms, grown }));
