import type {
  AbortableTransport,
  AdvisingTransport,
  GatheringTransport,
  KeptTransport,
} from "./types.ts";
import type { Transport } from "../types.ts";

/** A connection of which bytes were read already, which its first read gives back. */
export class BegunTransport implements AbortableTransport {
  readonly #transport: Transport;
  #first: Promise<Uint8Array | null> | undefined;

  /**
   * Puts a read back.
   *
   * @param transport the connection
   * @param first the read, which may be pending; none if nothing was read
   */
  constructor(transport: Transport, first?: Promise<Uint8Array | null>) {
    this.#transport = transport;
    this.#first = first;
    // It may fail before it is asked for.
    first?.catch(() => {});
  }

  /** What the connection can do about an other end that vanishes. */
  get keepAlive(): KeptTransport["keepAlive"] | undefined {
    return (this.#transport as Partial<KeptTransport>).keepAlive;
  }

  /** What the connection says about text in place of frames. */
  get advice(): string | undefined {
    return (this.#transport as AdvisingTransport).advice;
  }

  /** What the connection says about early writes. */
  get earlyWrite(): number | undefined {
    return (this.#transport as Partial<GatheringTransport>).earlyWrite;
  }

  read(): Promise<Uint8Array | null> {
    const first = this.#first;
    if (first === undefined) return this.#transport.read();
    this.#first = undefined;
    return first;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#transport.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#transport.closeWrite();
  }

  close(): void | Promise<void> {
    return this.#transport.close();
  }

  abort(): void {
    (this.#transport as AbortableTransport).abort?.();
  }
}
