import { assertEquals, assertLessOrEqual } from "@std/assert";
import { Queue } from "../queue.ts";
import { movedBy } from "./support/moved.ts";
import { forSeeds } from "./support/random.ts";

Deno.test("Queue: does what an array does", async () => {
  await forSeeds(50, (random) => {
    const queue = new Queue<number>();
    const array: number[] = [];
    for (let n = 0; n < 500; n++) {
      // Grows to some hundred items, and is often empty.
      const action = random.int(0, n % 200 < 100 ? 5 : 9);
      if (action < 4) {
        queue.push(n);
        array.push(n);
      } else if (action > 5) {
        assertEquals(queue.shift(), array.shift());
      } else if (array.length > 0) {
        if (action === 4) queue.replaceFirst(array[0] = -n);
        else queue.replaceLast(array[array.length - 1] = -n);
      }
      if (random.chance(0.01)) {
        const odd = (item: number) => item % 2 !== 0;
        const at = array.findIndex(odd);
        const [removed] = at < 0 ? [] : array.splice(at, 1);
        assertEquals(queue.remove(odd), removed);
      }
      assertEquals(queue.length, array.length);
      assertEquals([queue.first, queue.last], [array[0], array.at(-1)]);
      if (n % 50 === 0) assertEquals([...queue], array);
    }
    queue.clear();
    assertEquals([queue.length, queue.shift()], [0, undefined]);
  });
});

Deno.test("Queue: to take an item moves a few others at most, however many there are", () => {
  for (const count of [1_000, 100_000]) {
    const queue = new Queue<number>();
    for (let i = 0; i < count; i++) queue.push(i);
    let sum = 0;
    const moved = movedBy(() => {
      for (let i = 0; i < count; i++) sum += queue.shift()!;
    });
    assertLessOrEqual(moved, 4 * count);
    assertEquals([queue.length, sum], [0, count * (count - 1) / 2]);
  }
});
