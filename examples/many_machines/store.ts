// What the coordinators and their clients share: the addresses of the coordinators,
// and the results of the jobs. Started by demo.ts, in the processes of the others.

/** A store that every machine reaches. */
export interface Store {
  /** Lists a coordinator for a few seconds. */
  register(address: string): Promise<void>;
  /** Removes it from the list. */
  unregister(address: string): Promise<void>;
  /** The coordinators that are listed. */
  addresses(): Promise<string[]>;
  /** Stores the result of a job, unless there is one; returns what is stored. */
  finish(job: number, result: number): Promise<number>;
  /** How many jobs have a result. */
  finished(): Promise<number>;
  close(): void;
}

/** Milliseconds that a coordinator is listed without registering again. */
const LEASE = 3_000;

/** Opens a store: `redis://host:port`, or what `Deno.openKv()` takes. */
export function openStore(address: string): Promise<Store> {
  return address.startsWith("redis:") ? openRedis(address) : openKv(address);
}

/** A file for processes of one machine, or the URL of a denokv server. */
async function openKv(path: string): Promise<Store> {
  const kv = await unlocked(() => Deno.openKv(path));
  const keys = (prefix: string) =>
    unlocked(async () => {
      const entries = await Array.fromAsync(kv.list({ prefix: [prefix] }));
      return entries.map(({ key }) => key[1]);
    });
  return {
    async register(address) {
      const key = ["coordinators", address];
      await unlocked(() => kv.set(key, true, { expireIn: LEASE }));
    },
    unregister: (address) =>
      unlocked(() => kv.delete(["coordinators", address])),
    addresses: async () => await keys("coordinators") as string[],
    async finish(job, result) {
      const key = ["results", job];
      await unlocked(() =>
        kv.atomic().check({ key, versionstamp: null }).set(key, result).commit()
      );
      return (await unlocked(() => kv.get<number>(key))).value!;
    },
    finished: async () => (await keys("results")).length,
    close: () => kv.close(),
  };
}

/** While one process writes to a file, the others cannot: they try again. */
async function unlocked<T>(use: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await use();
    } catch (error) {
      if ((error as Error).message !== "database is locked") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
    }
  }
}

async function openRedis(address: string): Promise<Store> {
  const { Redis } = await import("npm:ioredis@^5");
  const redis = new Redis(address);
  const names = async (prefix: string) =>
    (await redis.keys(`${prefix}:*`)).map((key) =>
      key.slice(prefix.length + 1)
    );
  return {
    async register(address) {
      await redis.set(`coordinators:${address}`, "1", "PX", LEASE);
    },
    async unregister(address) {
      await redis.del(`coordinators:${address}`);
    },
    addresses: () => names("coordinators"),
    async finish(job, result) {
      await redis.setnx(`results:${job}`, result);
      return Number(await redis.get(`results:${job}`));
    },
    finished: async () => (await names("results")).length,
    close: () => redis.disconnect(),
  };
}
