// Decodes one value of full size, which may crash the process.
//
//   deno run -A tests/fuzz/worst/decode_once.ts CODEC GENE SIZE
//
// GENE is in JSON. Prints the time in milliseconds, and the bytes by which the
// process grew at its peak.

import { collectGarbage } from "../../support/memory.ts";
import { resetPeak, resident, residentPeak } from "../../hostile/resident.ts";
import { CODECS } from "../codec_list.ts";
import { timeOf } from "./cost.ts";
import { build, type Gene } from "./gene.ts";

/** Bytes of the value that warms up the engine. */
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
