import { assertEquals } from "@std/assert";
import { keepAliveOf, SilenceWatch, type Watched } from "./silence_watch.ts";

const KEEP_ALIVE = { interval: 5_000, timeout: 22_000 };

/** A watch whose time passes when the test says so. */
class Scene implements Watched {
  heardSince = false;
  writing = 0;
  canAsk = true;
  asked: number[] = [];
  lostAfter: number | undefined;
  /** How late timers come, in milliseconds. */
  lateness = 0;
  now = 0;
  timer: { at: number; expire: () => void } | undefined;
  timers = 0;
  readonly watch: SilenceWatch;

  constructor(keepAlive = KEEP_ALIVE) {
    this.watch = new SilenceWatch(this, keepAlive, {
      now: () => this.now,
      timer: (expire) => ({
        set: (ms) => {
          this.timers++;
          this.timer = { at: this.now + ms, expire };
        },
        cancel: () => this.timer = undefined,
      }),
    });
  }

  heard(): boolean {
    const { heardSince } = this;
    this.heardSince = false;
    return heardSince;
  }

  write(): number {
    return this.writing;
  }

  ask(): boolean {
    if (this.canAsk) this.asked.push(this.now);
    return this.canAsk;
  }

  lost(silence: number): void {
    this.lostAfter = silence;
  }

  /** Lets time pass; `each` is called before each look. */
  pass(ms: number, each: () => void = () => {}): void {
    const end = this.now + ms;
    while (this.timer !== undefined) {
      const at = this.timer.at + this.lateness;
      if (at > end) break;
      this.now = at;
      const { expire } = this.timer;
      this.timer = undefined;
      each();
      expire();
    }
    this.now = Math.max(this.now, end);
  }

  /** Ends at the moment at which the peer counts as lost. */
  end(): number {
    while (this.lostAfter === undefined) this.pass(100);
    return this.now;
  }
}

Deno.test("SilenceWatch: a silent peer is asked after the interval, and lost after the timeout", () => {
  const scene = new Scene();
  scene.pass(26_900);
  assertEquals(scene.asked, [5_000]);
  assertEquals(scene.lostAfter, undefined);
  assertEquals(scene.end(), 27_000);
  assertEquals(scene.lostAfter, 27_000);
  assertEquals(scene.timer, undefined);
});

Deno.test("SilenceWatch: it finds a peer within 30 s of its last byte, whenever that came", () => {
  for (let at = 0; at < 3_000; at += 130) {
    const scene = new Scene();
    scene.pass(at);
    scene.heardSince = true;
    const took = scene.end() - at;
    assertEquals(took >= 27_000 && took <= 28_000, true, `${at}: ${took}`);
  }
});

Deno.test("SilenceWatch: a peer that computes for 20 s is not lost, whenever it begins", () => {
  for (let at = 0; at < 12_000; at += 130) {
    const scene = new Scene();
    // It answers pings until then, and what was asked meanwhile after that.
    scene.pass(at, () => {
      scene.heardSince ||= scene.asked.length > 0;
      scene.asked = [];
    });
    scene.pass(20_000);
    scene.heardSince = true;
    scene.pass(4_000);
    assertEquals(scene.lostAfter, undefined, `${at}`);
  }
});

Deno.test("SilenceWatch: any sign of life begins a new silence", () => {
  const scene = new Scene();
  for (let i = 0; i < 20; i++) {
    scene.pass(26_000);
    scene.heardSince = true;
  }
  assertEquals(scene.lostAfter, undefined);
  scene.asked = [];
  // One that is never silent is never asked.
  scene.pass(60_000, () => scene.heardSince = true);
  assertEquals(scene.asked, []);
  scene.watch.stop();
  assertEquals(scene.timer, undefined);
});

Deno.test("SilenceWatch: late timers are not silence", () => {
  const scene = new Scene();
  scene.pass(26_500);
  // This process did not run for a night; what has arrived was not read yet.
  scene.lateness = 8 * 3_600_000;
  scene.pass(scene.lateness + 1_000);
  assertEquals(scene.lostAfter, undefined);
  scene.lateness = 0;
  scene.heardSince = true;
  scene.pass(20_000);
  assertEquals(scene.lostAfter, undefined);
  scene.watch.stop();
});

Deno.test("SilenceWatch: a late timer counts once, wherever it comes", () => {
  const scene = new Scene();
  scene.pass(10_000);
  scene.lateness = 60_000;
  scene.pass(61_000);
  scene.lateness = 0;
  scene.pass(15_900);
  assertEquals(scene.lostAfter, undefined);
  scene.pass(1_100);
  assertEquals(scene.lostAfter !== undefined, true);
});

Deno.test("SilenceWatch: timers that are always late find a peer that is lost, in the end", () => {
  const scene = new Scene();
  // As in a tab in the background: once a minute.
  scene.lateness = 59_000;
  scene.end();
  assertEquals(scene.lostAfter! <= 30_000, true);
});

Deno.test("SilenceWatch: a peer that cannot be asked is not lost", () => {
  const scene = new Scene();
  scene.canAsk = false;
  scene.pass(600_000);
  assertEquals(scene.lostAfter, undefined);
  scene.canAsk = true;
  scene.pass(1_000);
  assertEquals(scene.asked.length, 1);
  scene.end();
});

Deno.test("SilenceWatch: the end of a write that had to wait is a sign of life", () => {
  const scene = new Scene();
  scene.writing = 1;
  // A slow line takes 256 KiB in ten seconds.
  for (let i = 0; i < 10; i++) {
    scene.pass(10_000);
    scene.writing++;
  }
  assertEquals(scene.lostAfter, undefined);
  // A write that never ends is none,
  const since = scene.now;
  const took = scene.end() - since;
  assertEquals(took <= 29_000, true, `${took}`);
});

Deno.test("SilenceWatch: writes that do not wait are no sign of life", () => {
  const scene = new Scene();
  // What is dropped on its way is taken at once; sometimes a look sees it.
  while (scene.lostAfter === undefined) {
    scene.pass(50, () => scene.writing++);
  }
  assertEquals(scene.now <= 28_000, true, `${scene.now}`);
});

Deno.test("SilenceWatch: an idle connection costs a timer a second", () => {
  const scene = new Scene();
  scene.pass(600_000, () => {
    scene.heardSince = scene.asked.length > 0;
    scene.asked = [];
  });
  assertEquals(scene.timers <= 650, true, `${scene.timers}`);
  scene.watch.stop();
});

Deno.test("keepAliveOf(): connections are watched by default, and others if the program says so", () => {
  assertEquals(keepAliveOf(undefined, true), KEEP_ALIVE);
  assertEquals(keepAliveOf(undefined, false), undefined);
  assertEquals(keepAliveOf(true, false), KEEP_ALIVE);
  assertEquals(keepAliveOf({ timeout: 7 }, false), {
    interval: 5_000,
    timeout: 7,
  });
  assertEquals(keepAliveOf(false, true), "refused");
});

Deno.test("keepAliveOf(): on Deno Deploy, connections are watched only if the program says so", async () => {
  const url = new URL("silence_watch.ts", import.meta.url);
  const program = `
    import { keepAliveOf } from "${url}";
    console.log(
      keepAliveOf(undefined, true),
      keepAliveOf(undefined, false),
      keepAliveOf(true, true)?.interval,
    );
  `;
  // The last one may not read the variable, and is not to be asked.
  const cases = [
    ["test", "--allow-env", "refused undefined 5000"],
    ["", "--allow-env", "{ interval: 5000, timeout: 22000 } undefined 5000"],
    [
      "test",
      "--no-prompt",
      "{ interval: 5000, timeout: 22000 } undefined 5000",
    ],
  ] as const;
  for (const [id, permission, expected] of cases) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", permission, "--no-check", "-"],
      env: { NO_COLOR: "1", ...(id !== "" && { DENO_DEPLOYMENT_ID: id }) },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(program));
    await writer.close();
    const { stdout } = await child.output();
    assertEquals(new TextDecoder().decode(stdout).trim(), expected);
  }
});
