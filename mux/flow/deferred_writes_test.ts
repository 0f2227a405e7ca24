import { assert, assertEquals } from "@std/assert";
import { SingleTimer } from "../../tests/support/single_timer.ts";
import { DeferredWrites, type DeferringWriter } from "./deferred_writes.ts";

/** Deferred writes whose time passes when the test says so. */
class Scene extends SingleTimer {
  readonly deferred = new DeferredWrites(this.start);

  writer(): Writer {
    return new Writer(this);
  }
}

class Writer implements DeferringWriter {
  deferredAt = -1;
  isWatched = false;
  /** When it wrote what it had deferred. */
  readonly written: number[] = [];
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Has something to write that may wait. */
  defer(): void {
    this.#scene.deferred.add(this);
  }

  /** Writes it with something else. */
  write(): void {
    this.#scene.deferred.delete(this);
  }

  deferralExpired(): void {
    this.write();
    this.written.push(this.#scene.now);
  }
}

Deno.test("DeferredWrites: what waits is written after 75 to 100 ms", () => {
  for (const delay of [0, 1, 12, 24]) {
    const scene = new Scene();
    // So the timer of the other one has been started before.
    scene.writer().defer();
    scene.pass(delay);
    const writer = scene.writer();
    writer.defer();
    scene.pass(1_000);
    assertEquals(writer.written, [100]);
  }
});

Deno.test("DeferredWrites: what was written with something else is not written again", () => {
  const scene = new Scene();
  const writer = scene.writer();
  writer.defer();
  scene.pass(60);
  writer.write();
  scene.pass(1_000);
  assertEquals(writer.written, []);
  assertEquals(scene.waiting, undefined);
});

Deno.test("DeferredWrites: the time begins anew after each write", () => {
  const scene = new Scene();
  const writer = scene.writer();
  for (let i = 0; i < 20; i++) {
    writer.defer();
    scene.pass(60);
    writer.write();
  }
  writer.defer();
  scene.pass(74);
  assertEquals(writer.written, []);
  scene.pass(26);
  assertEquals(writer.written.length, 1);
});

Deno.test("DeferredWrites: any number of writers have one timer, and none when nothing waits", () => {
  const scene = new Scene();
  const writers = Array.from({ length: 50 }, () => scene.writer());
  for (const writer of writers) writer.defer();
  assertEquals(scene.started, 1);
  scene.pass(1_000);
  assertEquals(scene.started, 4);
  assertEquals(scene.waiting, undefined);
  assertEquals(writers.map(({ written }) => written.length), Array(50).fill(1));
});

Deno.test("DeferredWrites: many that are due are written in parts, soon after each other", () => {
  const scene = new Scene();
  const writers = Array.from({ length: 200 }, () => scene.writer());
  for (const writer of writers) writer.defer();
  const written = () => writers.filter(({ written }) => written.length > 0);
  scene.pass(100);
  assertEquals(written().length, 64);
  scene.pass(3);
  assertEquals(written().length, 200);
  scene.pass(1_000);
  assertEquals(
    writers.map(({ written }) => written.length),
    Array(200).fill(1),
  );
  assertEquals(scene.waiting, undefined);
});

Deno.test("DeferredWrites: a writer that ends leaves no timer, unless another one waits", () => {
  const scene = new Scene();
  const [a, b] = [scene.writer(), scene.writer()];
  a.defer();
  b.defer();
  a.write();
  scene.deferred.writerEnded();
  assert(scene.waiting !== undefined);
  b.write();
  scene.deferred.writerEnded();
  assertEquals(scene.waiting, undefined);
  // It can begin again.
  a.defer();
  scene.pass(100);
  assertEquals(a.written.length, 1);
});
