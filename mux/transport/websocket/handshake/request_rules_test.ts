import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkHosts,
  isLoopback,
  refusalOf,
  type RequestRules,
} from "./request_rules.ts";

/** The answer to a handshake of a page, or of a program if `origin` is null. */
function answer(
  host: string | null,
  origin: string | null,
  remoteHost: string,
  rules: RequestRules = {},
  more: HeadersInit = {},
) {
  const headers = new Headers({ upgrade: "websocket", ...more });
  if (host !== null) headers.set("host", host);
  if (origin !== null) headers.set("origin", origin);
  return refusalOf({ path: "/", headers, remoteHost }, rules);
}

Deno.test("refusalOf(): a request to another path is 404, and one without an upgrade 426", () => {
  const facts = {
    path: "/page",
    headers: new Headers({ host: "localhost" }),
    remoteHost: "127.0.0.1",
  };
  assertEquals(refusalOf(facts, { path: "/rpc" }), 404);
  assertEquals(refusalOf(facts, { path: "/page" }), 426);
  assertEquals(refusalOf(facts, {}), 426);
  facts.headers.set("upgrade", "WebSocket");
  assertEquals(refusalOf(facts, { path: "/page" }), undefined);
});

Deno.test("refusalOf(): over loopback, a page whose name resolves to this machine is refused", () => {
  for (
    const host of [
      "evil.example",
      "evil.example:8000",
      "EVIL.example.",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "notlocalhost",
      "192.168.1.5:8000",
      "[fe80::1]:80",
      "[::ffff:8.8.8.8]",
    ]
  ) {
    for (
      const remote of ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"]
    ) {
      assertEquals(answer(host, `http://${host}`, remote), 403, host);
      assertEquals(answer(host, null, remote), 403, host);
    }
    assertEquals(answer(host, null, "203.0.113.9"), undefined, host);
  }
});

Deno.test("refusalOf(): over loopback, every name and address of loopback is welcome", () => {
  for (
    const host of [
      "localhost",
      "LocalHost:8000",
      "localhost.",
      "localhost.:8000",
      "app.localhost:8000",
      "127.0.0.1",
      "127.0.0.1:8000",
      "127.8.9.10:8000",
      "[::1]",
      "[::1]:8000",
      "[0:0:0:0:0:0:0:1]:8000",
      "[::ffff:127.0.0.1]:8000",
      "0.0.0.0:8000",
    ]
  ) {
    assertEquals(answer(host, `http://${host}`, "127.0.0.1"), undefined, host);
    assertEquals(answer(host, null, "::1"), undefined, host);
  }
});

Deno.test("refusalOf(): a Host that is missing, malformed or sent twice is 400", () => {
  for (
    const host of [
      null,
      "",
      "a b",
      "localhost, evil.example",
      "localhost/../evil",
      "user@localhost",
      "localhost#evil.example",
      "localhost?evil.example",
      "localhost\\evil.example",
      "localhost:80:80",
      "localhost:99999",
      "%6cocalhost",
      "[::1",
      "::1",
    ]
  ) {
    for (const remote of ["127.0.0.1", "1.2.3.4"]) {
      assertEquals(answer(host, null, remote), 400, `${host}`);
      assertEquals(answer(host, null, remote, { hosts: "*" }), 400, `${host}`);
    }
  }
});

Deno.test("refusalOf(): hosts lists names, compared without case, port and trailing dot", () => {
  const hosts = ["Dev.Example.", "192.168.1.5", "2001:DB8::5", "[2001:db8::6]"];
  for (
    const host of [
      "dev.example",
      "DEV.example.:8000",
      "192.168.1.5:80",
      "[2001:db8:0::5]:8000",
      "[2001:db8::6]",
      "localhost:8000",
    ]
  ) {
    assertEquals(answer(host, null, "127.0.0.1", { hosts }), undefined, host);
    assertEquals(answer(host, null, "1.2.3.4", { hosts }), undefined, host);
  }
  assertEquals(answer("x.dev.example", null, "127.0.0.1", { hosts }), 403);
  assertEquals(answer("x.dev.example", null, "1.2.3.4", { hosts }), 403);
  assertEquals(
    answer("x.example", null, "127.0.0.1", { hosts: "*" }),
    undefined,
  );
});

Deno.test("refusalOf(): a listed origin does not make up for a wrong Host", () => {
  const origins = ["http://evil.example"];
  assertEquals(
    answer("evil.example", "http://evil.example", "127.0.0.1", { origins }),
    403,
  );
  assertEquals(
    answer("localhost", "http://evil.example", "127.0.0.1", { origins }),
    undefined,
  );
});

Deno.test("refusalOf(): a request that a proxy on this machine forwarded may have any Host", () => {
  for (const name of ["forwarded", "x-forwarded-for", "x-forwarded-host"]) {
    const more = { [name]: "x" };
    assertEquals(
      answer("a.example", "https://a.example", "127.0.0.1", {}, more),
      undefined,
    );
    assertEquals(
      answer("a.example", "https://b.example", "127.0.0.1", {}, more),
      403,
    );
    assertEquals(
      answer("a.example", null, "127.0.0.1", { hosts: ["b.example"] }, more),
      403,
    );
  }
});

Deno.test("refusalOf(): the server's own origin is that of its Host, whatever the scheme", () => {
  const far = "203.0.113.9";
  for (
    const [host, origin] of [
      ["a.example", "https://a.example"],
      ["a.example", "http://a.example"],
      ["a.example:443", "https://a.example"],
      ["A.example:8000", "http://a.example:8000"],
      ["[2001:db8::5]:8000", "http://[2001:db8::5]:8000"],
    ] as const
  ) assertEquals(answer(host, origin, far), undefined, `${host} ${origin}`);
  for (
    const [host, origin] of [
      ["a.example", "https://b.example"],
      ["a.example", "https://a.example:8000"],
      ["a.example:8000", "https://a.example"],
      ["a.example", "null"],
      ["a.example", "file://"],
      ["a.example", "a.example"],
      ["a.example", ""],
    ] as const
  ) assertEquals(answer(host, origin, far), 403, `${host} ${origin}`);
});

Deno.test("checkHosts(): a member that is not a name or an address is a TypeError", () => {
  checkHosts(undefined);
  checkHosts("*");
  checkHosts(["a.example", "a.example.", "127.0.0.1", "::1", "[::1]"]);
  for (
    const host of ["", "https://a.example", "a.example:80", "[::1]:80", "a b"]
  ) {
    assertThrows(
      () => checkHosts([host]),
      TypeError,
      `Cannot use option "hosts": "${host}" is not a name or an address without a port`,
    );
  }
});

Deno.test("isLoopback(): addresses with and without brackets", () => {
  for (const host of ["127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1"]) {
    assert(isLoopback(host), host);
  }
  for (const host of ["", "10.0.0.1", "::2", "fe80::1", "::ffff:8.8.8.8"]) {
    assert(!isLoopback(host), host);
  }
});
