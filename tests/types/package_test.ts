import { assert, assertEquals, assertLess } from "@std/assert";
import {
  type Compiler,
  COMPILERS,
  EmittedPackage,
  isAvailable,
} from "./emitted_package.ts";

const HERE = new URL(".", import.meta.url);
/** Programs that must compile without anything of Deno. */
const SOURCES = ["codec_types.ts", "remote_types.ts"];
const compilers = Object.keys(COMPILERS) as Compiler[];

/** A service of so many methods, and calls of all. */
function manyMethods(count: number): string {
  const methods = Array.from({ length: count }, (_, i) => {
    switch (i % 5) {
      case 0:
        return `m${i}(a: number, b?: string): Promise<string>;`;
      case 1:
        return `m${i}(user: User${i % 7}): User${i % 7}[];`;
      case 2:
        return `m${i}(json: Json): AsyncIterable<Json>;`;
      case 3:
        return `m${i}(fn: Callback<(n: number, user: User0) => boolean>): void;`;
      default:
        return `m${i}: { inner${i}(...tags: string[]): { n: ${i}; u: User3 } };`;
    }
  });
  const users = Array.from(
    { length: 7 },
    (_, i) =>
      `interface User${i} { id: number; name: string; tags?: string[]; friends: User${
        (i + 1) % 7
      }[]; }`,
  );
  const calls = Array.from({ length: count }, (_, i) => {
    switch (i % 5) {
      case 0:
        return `const r${i} = api.m${i}(1, "a");`;
      case 1:
        return `api.m${i}(null as never).then(([user]) => user?.friends[0]?.name);`;
      case 2:
        return `api.m${i}([1, { a: ["b"] }]);`;
      case 3:
        return `api.m${i}((n, user) => n > user.id);`;
      default:
        return `api.m${i}.inner${i}("a").then(({ u }) => u.friends[0]?.tags);`;
    }
  });
  return `
import { type Callback, type Peer } from "@qtalk/qtalk";
type Json = string | number | boolean | null | Json[] | { [k: string]: Json };
${users.join("\n")}
interface Service {
  ${methods.join("\n  ")}
}
export function use(peer: Peer): unknown {
  const api = peer.remote<Service>();
  ${calls.join("\n  ")}
  return [api, Object.values(api)];
}
`;
}

const available = await isAvailable();

Deno.test({
  name:
    "types: the declarations compile without those of Deno, and say the same",
  ignore: !available,
  fn: async (t) => {
    await using emitted = await EmittedPackage.emit();

    await t.step("none of them names Deno or Node", async () => {
      for (const [path, text] of await emitted.declarations()) {
        const code = text.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "");
        const named = /\b(?:Deno|NodeJS|Buffer)\b|"node:/.exec(code);
        assertEquals(named?.[0], undefined, path);
      }
    });

    const sources = await Promise.all(
      SOURCES.map((name) => Deno.readTextFile(new URL(name, HERE))),
    );
    for (const compiler of compilers) {
      await t.step(`${compiler} takes all that Deno takes`, async () => {
        const { ok, text } = await emitted.compile(
          compiler,
          [...sources, emitted.importAll()],
        );
        assert(ok, text);
      });

      await t.step(
        `${compiler} checks 500 methods in little more time than 10`,
        async () => {
          const instantiations = async (methods: number) => {
            const { ok, text } = await emitted.compile(
              compiler,
              [manyMethods(methods)],
              // The declarations themselves are checked above.
              ["--extendedDiagnostics", "--skipLibCheck"],
            );
            assert(ok, text);
            const found = /^Instantiations:\s+(\d+)/m.exec(text);
            assert(found !== null, text);
            return Number(found[1]);
          };
          const more = await instantiations(500) - await instantiations(10);
          // Compilers make more than 100,000 in a second.
          assertLess(more, 200_000);
        },
      );
    }
  },
});
