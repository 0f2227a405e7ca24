import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { MemoryAccount } from "../flow/memory_account.ts";
import { RecordDecoder } from "./records.ts";
import { RetainedBytes } from "./retained.ts";

const LIMIT = 64 * 1024;

function byteAt(at: number): number {
  return (at * 31 + (at >> 8) * 7) & 0xff;
}

/** Bytes of the stream. */
function stream(from: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => byteAt(from + i));
}

/** Appends the next bytes of the stream as long as there is room. */
function append(kept: RetainedBytes, from: number, size: number): number {
  const bytes = stream(from, size);
  let at = 0;
  for (let n = 1; n > 0 && at < size; at += n) n = kept.append(bytes, at, 3);
  return at;
}

/** Offers the next bytes of the stream in a buffer of their own. */
function adopt(kept: RetainedBytes, from: number, size: number): number {
  const buffer = new Uint8Array(size + 50);
  for (let i = 0; i < size; i++) buffer[13 + i] = byteAt(from + i);
  if (!kept.adopt(buffer.subarray(13, 13 + size), 3)) return 0;
  assert(kept.exchange() !== undefined);
  assertEquals(kept.exchange(), undefined, "there is one for each");
  return size;
}

/** The other end of the stream, which checks every byte. */
class Receiver {
  received = 0;
  ended = false;
  acks = 0;
  #decoder = this.#fresh();

  #fresh(): RecordDecoder {
    return new RecordDecoder({
      onAck: (received) => this.acks = Math.max(this.acks, received),
      onEnd: () => {
        this.ended = true;
        this.received++;
      },
      onPing() {},
      onClose() {},
      onRefused() {},
    });
  }

  reconnect(): void {
    this.#decoder = this.#fresh();
  }

  push(bytes: Uint8Array): void {
    const decoder = this.#decoder;
    decoder.push(bytes.slice());
    for (let b = decoder.next(); b !== undefined; b = decoder.next()) {
      for (const byte of b) {
        assert(byte === byteAt(this.received), `byte ${this.received}`);
        this.received++;
      }
    }
  }
}

/** Sends everything that there is to send. */
function sendAll(kept: RetainedBytes, receiver: Receiver): void {
  for (let b = kept.take(3); b !== undefined; b = kept.take(3)) {
    receiver.push(b);
    kept.wasWritten();
  }
}

/** Sends everything without a look at it. */
function sendUnchecked(kept: RetainedBytes): void {
  while (kept.take(0) !== undefined) kept.wasWritten();
}

test("RetainedBytes: takes as much as its limit, and more when some is acknowledged", () => {
  const kept = new RetainedBytes(LIMIT);
  const receiver = new Receiver();
  assertEquals(append(kept, 0, 100_000), LIMIT);
  assertEquals(append(kept, LIMIT, 1), 0);
  sendAll(kept, receiver);
  assertEquals(receiver.received, LIMIT);
  assert(kept.acknowledge(1_000));
  assertEquals(kept.length, LIMIT - 1_000);
  assertEquals(append(kept, LIMIT, 5_000), 1_000);
  sendAll(kept, receiver);
  assertEquals(receiver.received, LIMIT + 1_000);
});

test("RetainedBytes: what was not sent cannot be acknowledged", () => {
  const kept = new RetainedBytes(LIMIT);
  append(kept, 0, 100);
  assert(!kept.acknowledge(1));
  sendAll(kept, new Receiver());
  assert(!kept.acknowledge(101));
  assert(kept.acknowledge(100));
  assert(kept.acknowledge(50), "a lower one has no effect");
  assertEquals(kept.length, 0);
});

test("RetainedBytes: END is sent again until it is acknowledged", () => {
  const kept = new RetainedBytes(LIMIT);
  append(kept, 0, 100);
  kept.appendEnd();
  sendAll(kept, new Receiver());
  kept.wasCut();
  kept.acknowledge(100);
  kept.rewind();
  const receiver = new Receiver();
  receiver.received = 100;
  sendAll(kept, receiver);
  assertEquals([receiver.ended, receiver.received], [true, 101]);
  assert(kept.acknowledge(101));
  kept.rewind();
  assertEquals(kept.take(0), undefined);
});

test("RetainedBytes: bytes whose write was cut do not change", () => {
  const kept = new RetainedBytes(LIMIT);
  append(kept, 0, 100);
  const written = kept.take(0)!;
  const before = [...written];
  kept.wasCut();
  kept.acknowledge(50);
  kept.rewind();
  sendAll(kept, Object.assign(new Receiver(), { received: 50 }));
  kept.acknowledge(100);
  append(kept, 100, 5_000);
  assertEquals([...written], before);
});

test("RetainedBytes: takes its memory from the account, and does with less if there is none", () => {
  const account = new MemoryAccount(1024 * 1024);
  const kept = new RetainedBytes(4 * 1024 * 1024);
  kept.useMemory(account.unacknowledged);
  const appended = append(kept, 0, 4 * 1024 * 1024);
  assertLessOrEqual(account.held, 1024 * 1024);
  assertEquals(account.usage.unacknowledged, kept.taken);
  assert(appended > 500_000 && appended < 1024 * 1024, String(appended));
  const receiver = new Receiver();
  sendAll(kept, receiver);
  assert(kept.acknowledge(appended));
  assertEquals(append(kept, appended, 1_000), 1_000, "there is room again");
  sendAll(kept, receiver);
  kept.acknowledge(appended + 1_000);
  kept.trim();
  assertEquals(account.held, 0, "what is not needed is given back");
  append(kept, appended + 1_000, 100_000);
  assert(account.held > 0);
  kept.clear();
  assertEquals(account.held, 0);
});

test("RetainedBytes: a large write is kept in its buffer, for which there is another", () => {
  const account = new MemoryAccount(1024 * 1024);
  const kept = new RetainedBytes(1024 * 1024);
  kept.useMemory(account.unacknowledged);
  const bytes = new Uint8Array(100_013);
  assert(!kept.adopt(bytes, 0), "there is no room for a header");
  assert(kept.adopt(bytes.subarray(13), 0));
  const other = kept.exchange()!;
  assertEquals(other.length, bytes.length);
  assertEquals(account.held, bytes.length, "it counts");
  assertEquals(kept.take(7)!.buffer, bytes.buffer, "it is not copied");
  assertEquals(kept.stated, 7);
  kept.wasWritten();
  kept.acknowledge(100_000);
  assert(kept.adopt(other.subarray(13), 0));
  assertEquals(kept.exchange()!.buffer, bytes.buffer, "it is used again");
  assert(!kept.adopt(new Uint8Array(1024 * 1024 + 13).subarray(13), 0));
  kept.clear();
  assertEquals(account.held, 0);
});

test("RetainedBytes: a larger buffer that is left over takes the place of a smaller one", () => {
  const account = new MemoryAccount(1024 * 1024);
  const kept = new RetainedBytes(1024 * 1024);
  kept.useMemory(account.unacknowledged);
  const large = new Uint8Array(200_013);
  assert(kept.adopt(large.subarray(13), 0));
  kept.exchange();
  sendUnchecked(kept);
  assert(kept.acknowledge(200_000));
  assert(kept.adopt(new Uint8Array(100_013).subarray(13), 0));
  assertEquals(kept.exchange()!.buffer, large.buffer);
  assertEquals(account.held, 100_013, "what is kept counts");
  sendUnchecked(kept);
  assert(kept.acknowledge(300_000));
  assert(kept.adopt(new Uint8Array(150_013).subarray(13), 0));
  assertEquals(kept.exchange()!.length, 150_013, "a smaller one is of no use");
  assertEquals(account.held, 150_013);
  kept.clear();
  assertEquals(account.held, 0);
});

test("RetainedBytes: a small write is kept and sent at once if nothing is before it", () => {
  const kept = new RetainedBytes(300);
  const receiver = new Receiver();
  const record = kept.appendAndTake(stream(0, 100), 7)!;
  assertEquals([record[0], record.length, kept.stated], [1, 113, 7]);
  receiver.push(record);
  kept.wasWritten();
  assert(kept.acknowledge(100));
  const next = kept.appendAndTake(stream(100, 100), 3)!;
  assert(next === record, "one like it has the same view");
  receiver.push(next);
  kept.wasCut();
  const before = [...next];
  kept.rewind();
  assertEquals(kept.appendAndTake(stream(200, 100), 3), undefined);
  append(kept, 200, 100);
  assertEquals(kept.appendAndTake(stream(300, 150), 3), undefined, "no room");
  receiver.reconnect();
  receiver.received = 100;
  sendAll(kept, receiver);
  assertEquals(receiver.received, 300);
  assertEquals([...next], before, "a write that was cut may still read it");
});

test("RetainedBytes: an account without memory leaves room for a little", () => {
  const account = new MemoryAccount(64 * 1024);
  account.windows.take(64 * 1024);
  const kept = new RetainedBytes(4 * 1024 * 1024);
  kept.useMemory(account.unacknowledged);
  const receiver = new Receiver();
  for (let i = 0; i < 10; i++) {
    const appended = append(kept, receiver.received, 100_000);
    assert(appended > 1_000, "each time some bytes can be sent");
    sendAll(kept, receiver);
    kept.acknowledge(receiver.received);
  }
  assertEquals(kept.taken, 0);
});

/** Does what comes to mind, with cuts at any byte. */
function exercise(random: Random): number {
  const kept = new RetainedBytes(random.pick([LIMIT, 1024 * 1024]));
  const receiver = new Receiver();
  let appended = 0;
  const reconnect = () => {
    kept.wasCut();
    receiver.reconnect();
    assert(kept.acknowledge(receiver.received));
    kept.rewind();
  };
  for (let i = 0; i < 200; i++) {
    const dice = random.next();
    if (dice < 0.4) {
      const size = random.pick([1, 50, 3_000, 20_000]);
      appended += append(kept, appended, size);
      kept.wasWritten();
      if (random.chance(0.5)) {
        const size = random.int(1, 200);
        const bytes = stream(appended, size);
        const record = kept.appendAndTake(bytes, 3);
        if (record !== undefined) {
          appended += size;
          const passed = random.chance(0.1)
            ? random.int(0, record.length)
            : record.length;
          receiver.push(record.subarray(0, passed));
          if (passed < record.length) reconnect();
        }
      }
      if (random.chance(0.2)) {
        appended += adopt(kept, appended, random.int(65_536, 70_000));
      }
    } else if (dice < 0.75) {
      kept.wasWritten();
      const bytes = kept.take(3);
      if (bytes === undefined) continue;
      const passed = random.chance(0.2)
        ? random.int(0, bytes.length)
        : bytes.length;
      receiver.push(bytes.subarray(0, passed));
      if (passed < bytes.length) reconnect();
    } else if (dice < 0.95) {
      const { received } = receiver;
      const offset = random.int(Math.max(0, received - 50_000), received);
      assert(kept.acknowledge(offset));
    } else reconnect();
  }
  kept.wasWritten();
  sendAll(kept, receiver);
  assertEquals(receiver.received, appended);
  assertLessOrEqual(receiver.acks, 3, "no header has bytes of the stream");
  return appended;
}

test("RetainedBytes: whatever is acknowledged, the rest is sent again", async () => {
  let bytes = 0;
  await forSeeds(20, (random) => {
    bytes += exercise(random);
  });
  assert(bytes > 100_000 || Deno.env.has("QTALK_SEED"), String(bytes));
});
