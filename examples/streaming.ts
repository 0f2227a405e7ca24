// Streams of values: of replies, of arguments, and both at once. A slow reader
// slows the sender down, and a reader that stops stops the sender.
//
//   deno run --allow-net=127.0.0.1 examples/streaming.ts
//
// Prints:
//
//   2
//   3
//   5
//   the server stopped looking for primes
//   sum: 10
//   running sums: 1 3 6 10

import { dial, handlerFrom, listen, withStream } from "@qtalk/qtalk";

const service = {
  async *primes() {
    try {
      for (let n = 2;; n++) {
        if (isPrime(n)) yield n;
      }
    } finally {
      console.log("the server stopped looking for primes");
    }
  },
  sum: withStream(async (numbers: AsyncIterable<number>) => {
    let sum = 0;
    for await (const n of numbers) sum += n;
    return sum;
  }),
  runningSums: withStream(async function* (numbers: AsyncIterable<number>) {
    let sum = 0;
    for await (const n of numbers) yield sum += n;
  }),
};

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) {
    if (n % d === 0) return false;
  }
  return true;
}

await using listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(service),
});
await using peer = await dial(listener.addr);
const api = peer.remote<typeof service>();

for await (const prime of api.primes()) {
  console.log(prime);
  if (prime === 5) break;
}

async function* numbers() {
  for (let n = 1; n <= 4; n++) yield n;
}
console.log("sum:", await api.sum(numbers()));
const sums = await Array.fromAsync(api.runningSums(numbers()));
console.log("running sums:", ...sums);
