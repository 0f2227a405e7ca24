import { type Handler, handlerFrom, Router } from "@qtalk/qtalk";

/** What a worker and an iframe answer. */
export function service(): Handler {
  const router = new Router();
  router.handle(
    "",
    handlerFrom({
      add: (a: number, b: number) => a + b,
      origin: () => self.location.origin,
    }),
  );
  router.handle("bytes", async (call, respond) => {
    await call.receive();
    const { readable, writable } = await respond.continue();
    await readable.pipeTo(writable);
  });
  return router;
}
