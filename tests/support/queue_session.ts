/**
 * A kind of session that is not qmux: two ends in one process, whose channels
 * are queues of chunks. There are no frames, no packets and no transport. It
 * shows what RPC and the suites need of a session: mux/raw.ts, and no more.
 *
 * @module
 */
import { ChannelStreams } from "../../mux/channel/channel_streams.ts";
import { MuxError } from "../../mux/errors.ts";
import { MemoryAccount } from "../../mux/flow/memory_account.ts";
import {
  type ResolvedSessionOptions,
  resolveOptions,
  type SessionOptions,
} from "../../mux/options.ts";
import type {
  ErrorOwner,
  OpenCallbacks,
  RawChannel,
  RawSession,
  SessionChannels,
} from "../../mux/raw.ts";
import { AcceptQueue } from "../../mux/table/accept_queue.ts";
import type { Channel, SessionUsage, WaitOptions } from "../../mux/types.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Two sessions, each the other's peer. Of the options they keep to
 * `maxChannels`, `backlog` and `initialWindowSize`.
 */
export function queueSessions(
  a: SessionOptions = {},
  b: SessionOptions = {},
): [RawSession, RawSession] {
  const line = new Line();
  const sessions: [QueueSession, QueueSession] = [
    new QueueSession(line, a),
    new QueueSession(line, b),
  ];
  sessions[0].peer = sessions[1];
  sessions[1].peer = sessions[0];
  return sessions;
}

/** What is on its way: it arrives in order, in a later microtask. */
class Line {
  #steps: (() => void)[] = [];

  send(step: () => void): void {
    if (this.#steps.push(step) > 1) return;
    queueMicrotask(() => {
      const steps = this.#steps;
      this.#steps = [];
      for (const step of steps) step();
    });
  }

  /** Resolves when everything sent before has arrived. */
  arrived(): Promise<void> {
    return new Promise((resolve) => this.send(resolve));
  }
}

class QueueSession implements RawSession, SessionChannels {
  /** The session itself counts them. */
  readonly channels = this;
  peer!: QueueSession;
  readonly line: Line;
  readonly options: ResolvedSessionOptions;
  /** For RPC: this kind of session itself counts no bytes. */
  readonly account: MemoryAccount;
  /** As above. */
  readonly received = 0;
  readonly sent = 0;
  readonly openedByPeer = 0;
  readonly #incoming: AcceptQueue<QueueChannel, QueueChannel>;
  readonly #channels = new Set<QueueChannel>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #slots = { outgoing: 0, incoming: 0 };
  #nextId = 0;
  #slotFreed: PromiseWithResolvers<void> | undefined;
  /** Why nothing is opened any more. */
  #reason: MuxError | undefined;

  constructor(line: Line, options: SessionOptions) {
    this.line = line;
    this.options = resolveOptions(options);
    this.account = new MemoryAccount(this.options.maxHeldSize);
    this.#incoming = new AcceptQueue(
      this.options.backlog,
      (theirs) => this.#admit(theirs),
    );
  }

  get ended(): boolean {
    return this.#reason !== undefined;
  }

  /** It knows no frames: all that arrives is of a peer. */
  readonly heard = true;

  get maxChannels(): number {
    return this.options.maxChannels;
  }

  get crowded(): boolean {
    return this.#slots.outgoing * 2 >= this.options.maxChannels;
  }

  get outgoingSlots(): number {
    return this.#slots.outgoing;
  }

  get opened(): number {
    return this.#nextId;
  }

  get openable(): number {
    return this.options.maxChannels - this.#slots.outgoing;
  }

  get usage(): SessionUsage {
    return {
      channels: this.#channels.size,
      slots: this.#slots.outgoing + this.#slots.incoming +
        this.#incoming.length,
      held: this.account.usage,
    };
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  open({ signal }: WaitOptions = {}): Promise<Channel> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const opening = Promise.withResolvers<Channel>();
    const { promise, reject } = opening;
    const channel = this.#open(opening);
    const onAbort = () => {
      if (channel?.opening === undefined) return;
      channel.opening = undefined;
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", onAbort));
  }

  openRaw(callbacks: OpenCallbacks): void {
    this.#open(callbacks);
  }

  accept(handler: (channel: Channel) => void): void {
    this.#incoming.handle((channel) => {
      try {
        handler(channel);
      } catch (error) {
        channel.abort(error);
      }
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Channel, undefined> {
    return this.#incoming.iterate();
  }

  whenSlotFreed(): Promise<void> {
    return (this.#slotFreed ??= Promise.withResolvers<void>()).promise;
  }

  async close(): Promise<void> {
    if (!this.ended) {
      const lost = new MuxError("connection-lost", "The peer ended it");
      this.line.send(() => this.peer.#end(lost));
      this.#end(new MuxError("session-closed", "Session is closed"));
    }
    await this.line.arrived();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** For its channels: one takes no memory any more. */
  freeSlot({ direction }: QueueChannel): void {
    this.#slots[direction]--;
    this.#slotFreed?.resolve();
    this.#slotFreed = undefined;
  }

  /** For its channels: one is closed both ways. */
  forget(channel: QueueChannel): void {
    this.#channels.delete(channel);
  }

  #mayAccept(): boolean {
    return this.#slots.incoming + this.#incoming.length <
      this.options.maxChannels;
  }

  #newChannel(direction: QueueChannel["direction"]): QueueChannel {
    const channel = new QueueChannel(this.#nextId++, this, direction);
    this.#channels.add(channel);
    this.#slots[direction]++;
    return channel;
  }

  #open(callbacks: OpenCallbacks): QueueChannel | undefined {
    if (this.#reason !== undefined || this.openable <= 0) {
      const full = `Cannot open channel: ${this.#slots.outgoing} are open`;
      callbacks.reject(this.#reason ?? new MuxError("limit-exceeded", full));
      return undefined;
    }
    const channel = this.#newChannel("outgoing");
    channel.opening = callbacks;
    this.line.send(() => this.peer.#offer(channel));
    return channel;
  }

  #offer(theirs: QueueChannel): void {
    if (!this.ended && this.#mayAccept() && this.#incoming.push(theirs)) return;
    this.line.send(() => theirs.onRefused());
  }

  #admit(theirs: QueueChannel): QueueChannel {
    const channel = this.#newChannel("incoming");
    channel.connect(theirs);
    this.line.send(() => theirs.onAccepted(channel));
    return channel;
  }

  #end(reason: MuxError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const channel of this.#channels) channel.onSessionEnd(reason);
    this.#incoming.end();
    this.#closed.resolve();
  }
}

/** Bytes that wait for the other end to take what came before them. */
interface Waiting {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

class QueueChannel implements RawChannel {
  readonly id: number;
  readonly direction: "outgoing" | "incoming";
  opening: OpenCallbacks | undefined;
  eofReceived = false;
  failure: unknown;
  #far: QueueChannel | undefined;
  readonly #session: QueueSession;
  readonly #chunks: Bytes[] = [];
  #buffered = 0;
  /** Bytes that the other end has room for. */
  #credit = 0;
  #waiting: Waiting[] = [];
  #sending: "open" | "ending" | "ended" = "open";
  #receiving: "open" | "cancelled" | "ended" = "open";
  #sendFailure: unknown;
  #makeCutError: (() => unknown) | undefined;
  #owner: ErrorOwner | undefined;
  #closeSent = false;
  #closeReceived = false;
  #holdsSlot = true;
  #onReadable: (() => void) | undefined;
  readonly #onClosed = new Set<() => void>();
  #onDrained: (() => void) | undefined;
  #endHolds = 0;
  #endIsDue = false;
  #onDropped: ((bytes: Uint8Array) => void) | undefined;
  #streams: ChannelStreams | undefined;
  readonly #closed = Promise.withResolvers<void>();

  constructor(
    id: number,
    session: QueueSession,
    direction: "outgoing" | "incoming",
  ) {
    this.id = id;
    this.#session = session;
    this.direction = direction;
    this.#closed.promise.catch(() => {});
  }

  get readable(): ReadableStream<Bytes> {
    return (this.#streams ??= new ChannelStreams(this)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    const streams = this.#streams ??= new ChannelStreams(this);
    if (this.#sending !== "open") streams.fail(this.#failureOfSend());
    return streams.writable;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get buffered(): number {
    return this.#buffered;
  }

  get ended(): boolean {
    return this.#receiving !== "open";
  }

  get peerClosed(): boolean {
    return this.#closeReceived;
  }

  get inUse(): boolean {
    return this.#streams !== undefined || this.#onReadable !== undefined;
  }

  get isBeingRead(): boolean {
    return this.#streams?.readable.locked || this.#onReadable !== undefined;
  }

  peek(): Uint8Array | undefined {
    return this.#chunks[0];
  }

  get chunk(): Uint8Array | undefined {
    return this.peek();
  }

  readonly chunkStart = 0;

  get chunkEnd(): number {
    return this.peek()?.length ?? 0;
  }

  consume(bytes: number): void {
    const [first] = this.#chunks;
    if (first === undefined || bytes === 0) return;
    if (bytes === first.length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(bytes);
    this.#taken(bytes);
  }

  take(): Bytes | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#taken(chunk.length);
    return chunk.byteOffset === 0 ? chunk : chunk.slice();
  }

  expect(): void {
    // Room is made when bytes are taken, which costs nothing here.
  }

  whenReadable(callback: () => void): void {
    if (this.#buffered > 0 || this.ended) return callback();
    if (this.#onReadable !== undefined) {
      throw new MuxError("invalid-state", "Cannot read: another read waits");
    }
    this.#onReadable = callback;
  }

  cancelWhenReadable(callback: () => void): void {
    if (this.#onReadable === callback) this.#onReadable = undefined;
  }

  whenClosed(callback: () => void): void {
    if (this.peerClosed) callback();
    else this.#onClosed.add(callback);
  }

  cancelWhenClosed(callback: () => void): void {
    this.#onClosed.delete(callback);
  }

  deferClose(): void {}

  whenDrained(callback: () => void): void {
    if (this.#holdsSlot) this.#onDrained = callback;
    else callback();
  }

  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#sending !== "open") throw this.#failureOfSend();
    const sent = this.trySend(bytes);
    if (sent === bytes.length) return undefined;
    return new Promise((resolve, reject) => {
      const rest = sent === 0 ? bytes : bytes.subarray(sent);
      this.#waiting.push({ bytes: rest, resolve, reject });
    });
  }

  withdraw(bytes: Uint8Array, reason: unknown): boolean {
    const at = this.#waiting.findIndex((waiting) => waiting.bytes === bytes);
    if (at < 0) return false;
    const [withdrawn] = this.#waiting.splice(at, 1);
    withdrawn!.reject(reason);
    this.#flush();
    return true;
  }

  trySend(bytes: Uint8Array): number {
    if (this.#sending !== "open" || this.#waiting.length > 0) return 0;
    return this.#put(bytes);
  }

  whenWritable(callback: () => void): void {
    if (this.#sending !== "open") throw this.#failureOfSend();
    // An empty write is at its turn when there is room.
    this.#waiting.push({
      bytes: new Uint8Array(0),
      resolve: callback,
      reject: callback,
    });
    this.#flush();
  }

  holdEnd(): () => void {
    let held = true;
    this.#endHolds++;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#endHolds === 0 && this.#endIsDue) this.closeWrite();
    };
  }

  closeWrite(): void {
    if (this.#sending !== "open") return;
    this.#endIsDue = true;
    const streamHolds = this.#streams?.endAfterHeld() ?? false;
    if (streamHolds || this.#endHolds > 0) return;
    this.#sending = "ending";
    this.#flush();
  }

  whenDropped(callback: (bytes: Uint8Array) => void): void {
    this.#onDropped = callback;
  }

  cancelRead(): void {
    if (this.#receiving === "open") this.#receiving = "cancelled";
    this.#drop();
    this.#tellReader();
    this.#closeIfDone();
  }

  shutdown(): void {
    this.closeWrite();
    this.cancelRead();
  }

  abort(reason: unknown): void {
    this.#failSend(reason);
    this.#endReceive();
    this.#sendClose();
  }

  fail(reason: unknown): void {
    if (!this.#closeSent || this.#buffered > 0) this.failure ??= reason;
    this.#failSend(reason);
    this.#drop();
    this.#endReceive();
    this.#streams?.failRead(this.failure);
    this.#sendClose();
  }

  discard(): void {
    this.#failSend(this.#named(channelClosed()));
    this.#drop();
    this.#endReceive();
    this.#sendClose();
  }

  discardWithEof(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(channelClosed());
    if (this.#sending === "open") this.#sending = "ending";
    this.#flush();
    this.discard();
  }

  requireEof(makeError: (() => unknown) | undefined): void {
    this.#makeCutError = makeError;
    const cut = this.#closeReceived && !this.eofReceived;
    if (cut && !this.#closeSent) this.failure ??= this.#named(makeError?.());
  }

  nameErrors(owner: ErrorOwner): void {
    this.#owner = owner;
  }

  #named(error: unknown): unknown {
    return error === undefined ? undefined : this.#owner?.named(error) ?? error;
  }

  async close(): Promise<void> {
    const pending = this.#waiting.length > 0 || this.#endHolds > 0 ||
      this.#streams?.holdsWrites;
    if (!pending) this.closeWrite();
    this.discard();
    await this.#session.line.arrived();
  }

  // --- From the session and the other end -----------------------------------

  connect(far: QueueChannel): void {
    this.#far = far;
    this.#credit = far.#session.options.initialWindowSize;
  }

  onAccepted(far: QueueChannel): void {
    this.connect(far);
    const { opening } = this;
    this.opening = undefined;
    if (this.#closeSent) return;
    // It was given up: the other end hears of that by its end.
    if (opening === undefined) return this.discard();
    opening.resolve(this);
  }

  onRefused(): void {
    const { opening } = this;
    this.opening = undefined;
    const reason = new MuxError("open-refused", "The peer refused it");
    this.onSessionEnd(reason);
    opening?.reject(reason);
  }

  onSessionEnd(reason: unknown): void {
    const { opening } = this;
    this.opening = undefined;
    const clean = this.#closeSent;
    if (!clean) this.failure = this.ended ? undefined : this.#named(reason);
    this.#failSend(this.#named(reason));
    this.#receiving = this.ended ? this.#receiving : "ended";
    this.#closeSent = true;
    this.#finish(clean ? undefined : reason);
    this.#tellReader();
    opening?.reject(reason);
  }

  #onData(chunk: Bytes): void {
    if (this.#receiving === "cancelled") this.#grant(chunk.length);
    if (this.#receiving !== "open") return this.#onDropped?.(chunk);
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#tellReader();
  }

  #onGrant(bytes: number): void {
    this.#credit += bytes;
    this.#flush();
  }

  #onEof(): void {
    this.eofReceived = true;
    this.#endReceive();
    this.#closeIfDone();
  }

  #onClose(): void {
    this.#failSend(this.#named(channelClosed()));
    if (this.#receiving === "open") {
      this.failure = this.#named(this.#makeCutError?.());
    }
    this.#endReceive();
    const answered = this.#closeSent;
    if (!answered) this.#sendClose();
    this.#finish(undefined);
  }

  // --- Inside ---------------------------------------------------------------

  #tell(step: (far: QueueChannel) => void): void {
    const far = this.#far;
    if (far === undefined) return;
    this.#session.line.send(() => {
      // What comes after the end of either session, or of the channel, is late.
      if (!far.#closeReceived) step(far);
    });
  }

  #put(bytes: Uint8Array): number {
    const size = Math.min(bytes.length, this.#credit);
    if (size === 0) return 0;
    const chunk = bytes.slice(0, size) as Bytes;
    this.#credit -= size;
    this.#tell((far) => far.#onData(chunk));
    return size;
  }

  #flush(): void {
    for (let first; (first = this.#waiting[0]) !== undefined;) {
      if (first.bytes.length === 0 && this.#credit === 0) return;
      const sent = this.#put(first.bytes);
      if (sent < first.bytes.length) {
        first.bytes = first.bytes.subarray(sent);
        return;
      }
      this.#waiting.shift();
      first.resolve();
    }
    if (this.#sending !== "ending") return;
    this.#sending = "ended";
    this.#tell((far) => far.#onEof());
    this.#streams?.fail(this.#failureOfSend());
    this.#closeIfDone();
  }

  #taken(bytes: number): void {
    this.#buffered -= bytes;
    this.#grant(bytes);
    this.#freeSlot();
  }

  #grant(bytes: number): void {
    this.#tell((far) => far.#onGrant(bytes));
  }

  #drop(): void {
    const chunks = this.#chunks.splice(0);
    for (const chunk of chunks) this.#onDropped?.(chunk);
    if (this.#buffered > 0) this.#taken(this.#buffered);
  }

  #failureOfSend(): unknown {
    return this.#sendFailure ??= this.#named(channelClosed());
  }

  #failSend(reason: unknown): void {
    if (this.#sending === "ended") return;
    this.#sending = "ended";
    this.#sendFailure = reason;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
    this.#streams?.fail(reason);
  }

  #endReceive(): void {
    if (this.#receiving === "ended") return;
    this.#receiving = "ended";
    this.#tellReader();
  }

  #closeIfDone(): void {
    if (this.#sending === "ended" && this.ended) this.#sendClose();
  }

  #sendClose(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#freeSlot();
    this.#tell((far) => far.#onClose());
  }

  #finish(failure: unknown): void {
    if (this.#closeReceived) return;
    this.#closeReceived = true;
    this.#freeSlot();
    this.#session.forget(this);
    if (failure === undefined) this.#closed.resolve();
    else this.#closed.reject(failure);
    const waiting = [...this.#onClosed];
    this.#onClosed.clear();
    for (const callback of waiting) callback();
  }

  #freeSlot(): void {
    if (!this.#holdsSlot || !this.#closeSent || this.#buffered > 0) return;
    this.#holdsSlot = false;
    this.#session.freeSlot(this);
    this.#onDrained?.();
  }

  #tellReader(): void {
    const callback = this.#onReadable;
    this.#onReadable = undefined;
    callback?.();
  }
}

function channelClosed(): MuxError {
  return new MuxError("channel-closed", "This direction is closed");
}
