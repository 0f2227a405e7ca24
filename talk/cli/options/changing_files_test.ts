import { dial } from "@qtalk/qtalk";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { certificateFiles } from "../../../tests/support/certificate_files.ts";
import {
  type Credentials,
  makeAuthority,
} from "../../../tests/support/certificates.ts";
import { startCli } from "../../../tests/support/cli.ts";
import { changingFiles } from "./changing_files.ts";

const ca = await makeAuthority("authority");

Deno.test("changingFiles(): the options are the same until a file changes", async () => {
  await using made = await certificateFiles({ cert: "one", key: "" });
  const { tls } = changingFiles({ tls: made.files });
  const first = tls!();
  assertStrictEquals(tls!(), first);
  await made.write({ cert: "the other", key: "" });
  const second = tls!();
  assertEquals([second === first, second], [false, first]);
  assertStrictEquals(tls!(), second);
  await Deno.remove(made.files.key);
  const third = tls!();
  assertEquals(third === second, false);
  assertStrictEquals(tls!(), third);
  assertEquals(changingFiles({}), {});
});

Deno.test("qtalk serve: a certificate whose files have changed is renewed, and connections go on", async () => {
  const [first, second] = await Promise.all([
    ca.issue("CN=first"),
    ca.issue("CN=second, O=Example"),
  ]);
  await using made = await certificateFiles(first);
  const module = `${made.folder}/service.ts`;
  await Deno.writeTextFile(module, "export default { add: (n) => n + 1 };");
  const { cert, key } = made.files;
  await using server = startCli([
    ...["serve", module, "--address=tls://127.0.0.1:0"],
    ...["--cert", cert, "--key", key],
  ]);
  const line = await server.line(/^listening on /);
  const connect = ({ fingerprint }: Credentials) =>
    dial(line.split(" ").at(-1)!, { tls: { pin: fingerprint } });
  await using old = await connect(first);
  assertEquals(await old.call("add", [1]), 2);
  await made.write(second);
  await using renewed = await connect(second);
  assertEquals(await renewed.call("add", [2]), 3);
  await Deno.writeTextFile(cert, "nothing");
  await using again = await connect(second);
  assertEquals(await again.call("add", [3]), 4);
  await server.errorLine(/TLS stays as it was: --cert has no certificate/);
  assertEquals(await old.call("add", [4]), 5);
});
