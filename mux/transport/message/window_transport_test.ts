import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { text, utf8 } from "../../../tests/support/wire.ts";
import { turn, watch } from "../../../tests/support/within.ts";
import { windowTransport } from "./message_port.ts";

/** A window that receives the messages of one other, as in a browser. */
class FakeWindow extends EventTarget {
  readonly origin: string;
  /** The window that sends to this one. */
  other!: FakeWindow;

  constructor(origin: string) {
    super();
    this.origin = origin;
  }

  postMessage(data: unknown, target: string, transfer: Transferable[]): void {
    const copy = structuredClone(data, { transfer });
    // A browser only logs that.
    if (target !== this.origin) return;
    queueMicrotask(() => this.hear(copy, this.other, this.other.origin));
  }

  hear(data: unknown, source: FakeWindow, origin: string): void {
    const event = new MessageEvent("message", { data, origin });
    Object.defineProperty(event, "source", { value: source });
    this.dispatchEvent(event);
  }

  static pair(): [FakeWindow, FakeWindow] {
    const page = new FakeWindow("https://page.example");
    const frame = new FakeWindow("https://frame.example:8443");
    page.other = frame;
    frame.other = page;
    return [page, frame];
  }
}

testTransport("windowTransport", () => {
  const [page, frame] = FakeWindow.pair();
  return Promise.resolve({
    a: windowTransport(frame, frame.origin, page),
    b: windowTransport(page, page.origin, frame),
    close() {},
  });
});

Deno.test('windowTransport: the target must be an origin, and not "*"', () => {
  const [target] = FakeWindow.pair();
  for (
    const origin of ["*", "/", "null", "", "a.example", "https://a.example/"]
  ) {
    assertThrows(
      () => windowTransport(target, origin),
      TypeError,
      "is not an origin such as",
    );
  }
});

Deno.test("windowTransport: waits for a frame that loads later", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const writing = near.write(utf8("are you there?"));
  for (let i = 0; i < 5; i++) await turn();
  const far = windowTransport(page, page.origin, frame);
  assertEquals(text((await far.read())!), "are you there?");
  await writing;
  await near.close();
  await far.close();
});

Deno.test("windowTransport: ignores messages of other windows and other origins", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const far = windowTransport(page, page.origin, frame);
  await near.write(utf8("hello"));
  const evil = new FakeWindow("https://evil.example");
  page.hear({ qtalk: "bytes", bytes: utf8("forged") }, evil, frame.origin);
  page.hear({ qtalk: "gone" }, frame, evil.origin);
  page.hear({ qtalk: "hello", from: "evil" }, evil, evil.origin);
  await far.write(utf8("genuine"));
  assertEquals(text((await near.read())!), "genuine");
  await near.close();
  await far.close();
});

Deno.test("windowTransport: sends nothing to a document of another origin", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, "https://another.example", page);
  let heard = 0;
  frame.addEventListener("message", () => heard++);
  const writing = watch(near.write(utf8("secret")));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals([heard, writing.state], [0, "pending"]);
  await near.close();
});

Deno.test("windowTransport: ends when the window loads another document", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const first = windowTransport(page, page.origin, frame);
  await near.write(utf8("hello"));
  assertEquals(text((await first.read())!), "hello");
  const reading = near.read();
  const second = windowTransport(page, page.origin, frame);
  await assertRejects(() => reading, Error, "the peer started again");
  await first.close();
  await second.close();
});
