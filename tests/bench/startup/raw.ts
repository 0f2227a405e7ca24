const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
(async () => {
  const conn = await listener.accept();
  const buffer = new Uint8Array(1024);
  const read = await conn.read(buffer);
  await conn.write(buffer.subarray(0, read ?? 0));
})();
const conn = await Deno.connect({
  hostname: "127.0.0.1",
  port: listener.addr.port,
});
await conn.write(Uint8Array.of(42));
const reply = new Uint8Array(1);
await conn.read(reply);
if (reply[0] !== 42) throw new Error("No echo");
Deno.exit(0);
