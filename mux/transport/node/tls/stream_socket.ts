import type { Transport } from "../../../types.ts";
import { requiredModule } from "../builtin.ts";
import type { NodeSocket } from "../sockets.ts";

/** What is used of a `stream.Duplex`. */
interface Duplex extends NodeSocket {
  push(chunk: Uint8Array | null): boolean;
  destroy(error?: unknown): unknown;
}

/** What is used of `node:stream`. */
interface StreamModule {
  Duplex: new (options: object) => Duplex;
}

/**
 * A byte stream in the form of a socket of Node, for TLS to run on.
 *
 * @param transport the byte stream, which the socket owns
 */
export function socketOver(transport: Transport): NodeSocket {
  const { Duplex } = requiredModule<StreamModule>("node:stream");
  let isReading = false;
  const socket = new Duplex({
    allowHalfOpen: true,
    read: () => void pull(),
    write(bytes: Uint8Array, _: unknown, done: (error?: unknown) => void) {
      transport.write(bytes).then(() => done(), done);
    },
    final(done: (error?: unknown) => void) {
      transport.closeWrite().then(() => done(), done);
    },
    destroy(error: unknown, done: (error?: unknown) => void) {
      void transport.close();
      done(error);
    },
  });
  // There is no system beneath to ask for these.
  return Object.assign(socket, { setNoDelay() {}, setKeepAlive() {} });

  async function pull(): Promise<void> {
    if (isReading) return;
    isReading = true;
    try {
      for (;;) {
        const chunk = await transport.read();
        // Its bytes are valid until the next read only.
        if (!socket.push(chunk?.slice() ?? null) || chunk === null) break;
      }
    } catch (error) {
      socket.destroy(error);
    }
    isReading = false;
  }
}
