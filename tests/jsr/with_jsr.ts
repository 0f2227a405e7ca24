/**
 * Runs a command that needs packages from JSR, wherever it is run:
 *
 *     deno run -A tests/jsr/with_jsr.ts [--std CHECKOUT] COMMAND [ARGUMENTS…]
 *
 * If JSR answers, it is used. Otherwise a registry on the loopback interface
 * serves stand-ins for the few names that the tests use, made of packages that
 * npm and Deno itself have. `--std` serves the real packages from a checkout of
 * denoland/std. One line says which of them it is.
 *
 * @module
 */
import { realPackages, serveRegistry, standIns } from "./registry.ts";

/** The signals that are the command's. */
const FORWARDED = ["SIGINT", "SIGTERM"] as const;

/** Milliseconds that JSR has to answer; it is asked once. */
const PATIENCE = 3_000;

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(new URL("@std/assert/meta.json", url), {
      signal: AbortSignal.timeout(PATIENCE),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function run(command: string[], jsrUrl: string): Promise<number> {
  const [program, ...args] = command;
  const child = new Deno.Command(
    program === "deno" ? Deno.execPath() : program!,
    { args, env: { JSR_URL: jsrUrl } },
  ).spawn();
  // Who stops this means the command, which then says how it ends. (A terminal
  // tells both; to be told twice is no matter.)
  const forwards = FORWARDED.map((signal) => {
    const forward = () => {
      try {
        child.kill(signal);
      } catch {
        // It has just ended.
      }
    };
    Deno.addSignalListener(signal, forward);
    return () => Deno.removeSignalListener(signal, forward);
  });
  try {
    return (await child.status).code;
  } finally {
    for (const stopForwarding of forwards) stopForwarding();
  }
}

async function main(args: string[]): Promise<number> {
  const checkout = args[0] === "--std" ? args[1] : undefined;
  const command = checkout === undefined ? args : args.slice(2);
  if (command.length === 0) {
    console.error("usage: with_jsr.ts [--std CHECKOUT] COMMAND [ARGUMENTS…]");
    return 2;
  }
  const url = Deno.env.get("JSR_URL") ?? "https://jsr.io/";
  if (checkout === undefined && await answers(url)) {
    console.error(`JSR: using ${url}`);
    return await run(command, url);
  }
  await using registry = await serveRegistry(
    checkout === undefined ? standIns() : realPackages(checkout),
  );
  console.error(
    checkout === undefined
      ? `JSR: ${url} does not answer, using the stand-ins of tests/jsr`
      : `JSR: using the packages of ${checkout}`,
  );
  return await run(command, registry.url);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
