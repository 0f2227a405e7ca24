/**
 * A relay of datagrams, for connections of QUIC, that can fall silent: there is no other
 * way in which a network cuts such a connection.
 *
 * @module
 */

const LOOPBACK = { transport: "udp", hostname: "127.0.0.1", port: 0 } as const;

/** Passes the datagrams of clients on to a port, and the answers back. */
export class DatagramRelay implements Disposable {
  readonly #near = Deno.listenDatagram(LOOPBACK);
  readonly #target: number;
  /** For each client, by its port, the socket that the target sees. */
  readonly #clients = new Map<number, Deno.DatagramConn>();
  /** Clients whose datagrams are dropped. */
  readonly #cut = new Set<number>();
  /** Clients there were. */
  accepted = 0;
  /** Datagrams that were passed on. */
  passed = 0;
  /** Called when one was. */
  onPassed: () => void = () => {};

  /** Relays to a port. */
  constructor(target: number) {
    this.#target = target;
    void this.#run();
  }

  /** The port to connect to. */
  get port(): number {
    return (this.#near.addr as Deno.NetAddr).port;
  }

  /** Drops whatever comes from or for the clients that there are. */
  cut(): void {
    for (const port of this.#clients.keys()) this.#cut.add(port);
  }

  [Symbol.dispose](): void {
    this.#near.close();
    for (const socket of this.#clients.values()) socket.close();
  }

  async #run(): Promise<void> {
    for await (const [bytes, sender] of this.#near) {
      const client = sender as Deno.NetAddr;
      let far = this.#clients.get(client.port);
      if (far === undefined) {
        far = Deno.listenDatagram(LOOPBACK);
        this.#clients.set(client.port, far);
        this.accepted++;
        void this.#answer(far, client);
      }
      await this.#pass(far, bytes, { ...LOOPBACK, port: this.#target }, client);
    }
  }

  async #answer(far: Deno.DatagramConn, client: Deno.NetAddr): Promise<void> {
    for await (const [bytes] of far) {
      await this.#pass(this.#near, bytes, client, client);
    }
  }

  async #pass(
    socket: Deno.DatagramConn,
    bytes: Uint8Array,
    to: Deno.NetAddr,
    client: Deno.NetAddr,
  ): Promise<void> {
    if (this.#cut.has(client.port)) return;
    this.passed++;
    this.onPassed();
    // A datagram may be lost, and so may one that is sent to a socket that has gone.
    await socket.send(bytes, to).catch(() => {});
  }
}
