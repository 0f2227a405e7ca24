import type { ListenOptions } from "@qtalk/qtalk";

/** A service, with a call that lasts until the test answers it. */
export function service(): Pick<ListenOptions, "handler"> & {
  answer: (value: string) => void;
} {
  const answered = Promise.withResolvers<string>();
  return {
    answer: answered.resolve,
    handler: async (call, respond) => {
      const value = await call.receive();
      const isLong = call.selector === "/wait";
      await respond.return(isLong ? await answered.promise : value);
    },
  };
}
