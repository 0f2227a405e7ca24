// The page of examples/deploy in headless Chromium. What it looks like with three
// names is written to qtalk_state_page.png in the folder for temporary files, or
// to the file that QTALK_SCREENSHOT names: examples/deploy/page.png is such a one.

import { assert, assertEquals } from "@std/assert";
import { Chromium, findChromium, type Tab } from "./browser/chromium.ts";
import { HERE, MAIN, Program, Visitor } from "./support/deploy.ts";
import { until } from "./support/within.ts";

const programs = findChromium();

/** Runs a script in the page; gives what it returns. */
function run(tab: Tab, script: string): Promise<unknown> {
  return tab.browser.command("POST", "execute/sync", { script, args: [] });
}

/** Waits until a script in the page returns just this. */
async function shows(tab: Tab, script: string, wanted: unknown): Promise<void> {
  const text = JSON.stringify(wanted);
  await until(
    async () => JSON.stringify(await run(tab, script)) === text,
    `${text} of ${script}`,
  );
}

/** Types into the field of a form, and sends that. */
async function send(tab: Tab, form: string, text: string): Promise<void> {
  await run(
    tab,
    `const form = document.getElementById(${JSON.stringify(form)});
     form.querySelector("input").value = ${JSON.stringify(text)};
     form.requestSubmit();`,
  );
}

const NAMES =
  'return [...document.querySelectorAll("#names li")].map((li) => li.textContent)';
const textOf = (id: string) =>
  `return document.getElementById("${id}").textContent`;

function screenshotPath(): string {
  const folder = Deno.env.get("TMPDIR") ?? Deno.env.get("TEMP") ?? "/tmp";
  return Deno.env.get("QTALK_SCREENSHOT") ?? `${folder}/qtalk_state_page.png`;
}

Deno.test({
  name: "deploy: the page shows who is here, live, and calls the service",
  ignore: "missing" in programs,
  async fn() {
    if ("missing" in programs) return;
    await using app = new Program(["--allow-net", MAIN, ...HERE]);
    const url = await app.line("serving on ");
    await using chromium = await Chromium.start(programs);
    const tab = await chromium.open(url);
    await chromium.command("POST", "window/rect", { width: 700, height: 540 });
    await shows(tab, textOf("connection"), "connected");

    await using ann = new Visitor(url);
    await ann.call("join", "Ann");
    await shows(tab, NAMES, ["Ann"]);
    await send(tab, "join", "Cleo");
    await ann.sees("Ann", "Cleo");
    {
      await using bob = new Visitor(url);
      await bob.call("join", "Bob <i>");
      await shows(tab, NAMES, ["Ann", "Bob <i>", "Cleo"]);
    }
    await shows(tab, NAMES, ["Ann", "Cleo"]);

    await send(tab, "upper", "hello");
    await shows(tab, textOf("answer"), "HELLO");
    await send(tab, "join", " ");
    await shows(
      tab,
      textOf("error"),
      "remote: Cannot join: a name has 1 to 40 characters",
    );

    await using bob = new Visitor(url);
    await bob.call("join", "Bob");
    await send(tab, "join", "Cleo");
    await shows(tab, textOf("error"), "");
    await shows(tab, NAMES, ["Ann", "Bob", "Cleo"]);
    await shows(tab, textOf("count"), "3");
    await shows(
      tab,
      'return document.querySelector("#names .me")?.textContent',
      "Cleo",
    );
    const png = await tab.screenshot();
    assertEquals(
      [...png.subarray(1, 4)],
      [..."PNG"].map((c) => c.charCodeAt(0)),
    );
    assert(png.length > 5_000, `a picture has more than ${png.length} bytes`);
    await Deno.writeFile(screenshotPath(), png);

    await tab.close();
    await ann.sees("Ann", "Bob");
  },
});
