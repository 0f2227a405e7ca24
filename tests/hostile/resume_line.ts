/**
 * A dialer of sessions that survive their connection, whose every record an attack
 * chooses.
 *
 * @module
 */
import {
  resumeSession,
  type Started,
  startSession,
} from "../../mux/resume/handshake/handshake.ts";
import { DATA_HEADER } from "../../mux/resume/records.ts";
import type { Transport } from "../../mux/types.ts";
import type { Attacker } from "./attacker_side.ts";
import type { Line } from "./line.ts";

/** A raw connection as a transport. */
class LineTransport implements Transport {
  readonly line: Line;
  readonly #next: () => Promise<Uint8Array | null>;

  constructor(line: Line, next: () => Promise<Uint8Array | null>) {
    this.line = line;
    this.#next = next;
  }

  read(): Promise<Uint8Array | null> {
    return this.#next();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!await this.line.write(bytes.slice())) throw new Error("it has ended");
  }

  closeWrite(): Promise<void> {
    return this.line.end();
  }

  close(): Promise<void> {
    return this.line.close();
  }
}

/** A connection whose bytes can be read one chunk after the other. */
export async function lineTransport(it: Attacker): Promise<LineTransport> {
  const chunks: (Uint8Array | null)[] = [];
  let wake = () => {};
  const push = (chunk: Uint8Array | null) => {
    chunks.push(chunk);
    wake();
  };
  const line = await it.line({ onBytes: (bytes) => push(bytes.slice()) });
  void line.ended.then(() => push(null));
  return new LineTransport(line, async () => {
    while (chunks.length === 0) {
      await new Promise<void>((resolve) => wake = resolve);
    }
    return chunks.shift()!;
  });
}

/** Drops what a connection brings, until it ends. */
export async function drop(transport: LineTransport): Promise<void> {
  while (await transport.read() !== null);
}

/** A session, and the connection that it has now. */
export interface Begun {
  transport: LineTransport;
  /** What it takes to continue it. */
  secret: Pick<Started, "id" | "key">;
}

/** Begins a session; `limit` is what this end claims to keep. */
export async function begin(it: Attacker, limit = 2 ** 20): Promise<Begun> {
  const transport = await lineTransport(it);
  const { id, key } = await startSession(transport, limit);
  return { transport, secret: { id, key } };
}

/** Continues a session, and says that it has got everything before `received`. */
export async function resume(
  it: Attacker,
  { secret }: Begun,
  attempt: number,
  received = 0,
): Promise<LineTransport> {
  const transport = await lineTransport(it);
  await resumeSession(transport, { ...secret, attempt, received });
  return transport;
}

/** A DATA record that acknowledges nothing. */
export function dataRecord(bytes: Uint8Array): Uint8Array {
  const record = new Uint8Array(DATA_HEADER + bytes.length);
  record[0] = 1;
  new DataView(record.buffer).setUint32(1, bytes.length);
  record.set(bytes, DATA_HEADER);
  return record;
}
