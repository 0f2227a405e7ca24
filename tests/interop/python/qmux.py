"""qmux, as mux/SPEC.md specifies it: channels over a pair of byte streams."""

import asyncio
import struct

OPEN, CONFIRM, FAILURE, ADJUST, DATA, EOF, CLOSE = range(100, 107)
FIELDS = {OPEN: 3, CONFIRM: 4, FAILURE: 1, ADJUST: 2, DATA: 2, EOF: 1, CLOSE: 1}
WINDOW = 256 * 1024
MAX_PACKET = 64 * 1024


class Lost(Exception):
    """The session has ended."""


class Closed(Exception):
    """The peer has closed the channel, or refused it."""


class Violation(Exception):
    """The peer has sent what the specification forbids."""


class Channel:
    """One channel. One task at a time may read, and one may write."""

    def __init__(self, session, own_id, peer_id=None, credit=0, max_packet=0):
        self.session, self.id, self.peer_id = session, own_id, peer_id
        self.credit, self.max_packet = credit, max_packet
        self.window = WINDOW
        self.received = bytearray()
        self.ended = self.peer_closed = self.refused = False
        self.end_sent = self.close_sent = False
        self.changed = asyncio.Event()

    async def until(self, condition):
        """Waits until `condition()` holds, which only the channel's frames change."""
        while not condition():
            if self.session.lost:
                raise Lost("the session has ended")
            self.changed.clear()
            await self.changed.wait()

    async def read(self, limit=MAX_PACKET):
        """Returns the next bytes, none at the end of the peer's data."""
        await self.until(lambda: self.received or self.ended or self.peer_closed)
        data = bytes(self.received[:limit])
        del self.received[:limit]
        if data and not (self.ended or self.peer_closed or self.close_sent):
            self.window += len(data)
            self.send(ADJUST, len(data))
        return data

    async def read_exactly(self, size):
        """Returns `size` bytes, or fewer if the data ends before."""
        data = bytearray()
        while len(data) < size and (piece := await self.read(size - len(data))):
            data += piece
        return bytes(data)

    async def write(self, data):
        """Sends bytes as the peer grants credit for them."""
        while data:
            await self.until(lambda: self.credit or self.peer_closed or self.close_sent)
            if self.peer_closed or self.close_sent:
                raise Closed("the channel is closed")
            size = min(len(data), self.credit, self.max_packet)
            self.credit -= size
            self.send(DATA, size, payload=data[:size])
            data = data[size:]
            await self.session.drain()

    def end(self):
        """Says that no more data follows, once."""
        if not self.end_sent and not self.close_sent:
            self.end_sent = True
            self.send(EOF)

    def close(self):
        """Ends the channel, once. No frame for it is sent after this."""
        if not self.close_sent:
            self.send(CLOSE)
            self.close_sent = True
            self.changed.set()

    def send(self, kind, *fields, payload=b""):
        self.session.send(kind, self.peer_id, *fields, payload=payload)

    def take(self, kind, value, payload):
        """Takes a frame of the peer."""
        if kind == DATA and not self.ended and not self.close_sent:
            if len(payload) > self.window:
                raise Violation("DATA exceeds the window")
            self.window -= len(payload)
            self.received += payload
        elif kind == ADJUST:
            self.credit += value
            if self.credit >= 2**32:
                raise Violation("the window exceeds 2^32 - 1")
        elif kind == EOF:
            self.ended = True
        elif kind == CLOSE:
            self.peer_closed = True
            self.close()
        self.changed.set()


class Session:
    """The channels of one connection. `accept(channel)` serves one of the peer's."""

    def __init__(self, reader, writer, accept):
        self.reader, self.writer, self.accept = reader, writer, accept
        self.channels = {}
        self.next_id = 0
        self.lost = False
        self.tasks = set()
        # Ends with the byte stream, or with what was wrong with it.
        self.running = asyncio.ensure_future(self.run())

    async def open(self):
        """Opens a channel, which the peer has accepted when this returns."""
        channel = self.add()
        self.send(OPEN, channel.id, WINDOW, MAX_PACKET)
        opened = lambda: channel.refused or channel.peer_id is not None
        try:
            await channel.until(opened)
        except asyncio.CancelledError:
            self.spawn(self.close_when(opened, channel))
            raise
        if channel.refused:
            raise Closed("the peer has refused the channel")
        return channel

    async def close_when(self, opened, channel):
        await channel.until(opened)
        if not channel.refused:
            channel.close()

    def add(self, *peer):
        while self.next_id in self.channels:
            self.next_id = (self.next_id + 1) % 2**32
        channel = self.channels[self.next_id] = Channel(self, self.next_id, *peer)
        self.next_id = (self.next_id + 1) % 2**32
        return channel

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def send(self, kind, *fields, payload=b""):
        if not self.lost:
            frame = struct.pack(f">B{FIELDS[kind]}I", kind, *fields)
            self.writer.write(frame + bytes(payload))

    async def drain(self):
        try:
            await self.writer.drain()
        except OSError as error:
            raise Lost("the connection is lost") from error

    async def run(self):
        try:
            while kind := await self.reader.read(1):
                await self.take(kind[0])
        finally:
            self.lost = True
            for channel in self.channels.values():
                channel.changed.set()
            self.writer.close()

    async def take(self, kind):
        if kind not in FIELDS:
            raise Violation(f"{kind} is not a frame type")
        fields = await self.reader.readexactly(4 * FIELDS[kind])
        recipient, *rest = struct.unpack(f">{FIELDS[kind]}I", fields)
        if kind == OPEN:
            channel = self.add(recipient, *rest)
            self.send(CONFIRM, recipient, channel.id, WINDOW, MAX_PACKET)
            self.spawn(self.accept(channel))
            return
        if kind == DATA and rest[0] > MAX_PACKET:
            raise Violation("DATA exceeds the maximum packet size")
        payload = await self.reader.readexactly(rest[0]) if kind == DATA else b""
        channel = self.channels.get(recipient)
        if channel is None:
            raise Violation(f"frame {kind} for channel {recipient}, which is not open")
        if kind == CONFIRM:
            channel.peer_id, channel.credit, channel.max_packet = rest
        channel.refused = kind == FAILURE
        channel.take(kind, rest[0] if rest else 0, payload)
        if channel.refused or channel.peer_closed:
            del self.channels[recipient]

    async def close(self):
        """Ends this side's direction, waits for the peer to end its own."""
        if not self.lost:
            self.writer.write_eof()
        await self.running
