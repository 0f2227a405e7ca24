import { type DenoPeer, startWorker } from "../peer.ts";
import { loadNpm } from "./npm.ts";

/** The function that there is, seen from the other side. */
interface Echo {
  echo(value: unknown): Promise<unknown>;
}

/** What is used of npm `comlink`. */
interface Comlink {
  expose(target: object): void;
  wrap(worker: Worker): Echo;
}

const { expose, wrap } = await loadNpm<Comlink>("comlink@4.4.2");

/** Comlink between a page, here the client process, and its worker. */
const peer: DenoPeer = {
  serve(transport) {
    expose({ echo: (value: unknown) => value });
    return Promise.resolve(transport);
  },
  async connect() {
    const worker = await startWorker("comlink");
    const remote = wrap(worker);
    return {
      call: (value) => remote.echo(value),
      close: () => worker.terminate(),
    };
  },
};
export default peer;
