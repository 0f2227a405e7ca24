"""Sessions that survive their connection, as mux/resume/SPEC.md specifies their dialer."""

import asyncio
import hashlib
import hmac
import secrets
import struct

MAGIC = b"\xc7qtalkR\x01"
HELLO_NEW, HELLO_RESUME, ANSWER_NEW, ANSWER_RESUME, REFUSED = range(1, 6)
DATA, ACK, END, PING, PONG, CLOSE = range(1, 7)
LIMIT = 2**20

# The curve P-256: y² = x³ - 3x + b modulo P, with the generator G.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    """The sum of two points; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and a != b:
        return None
    if a == b:
        slope = 3 * (a[0] ** 2 - 1) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point, factor):
    """For keys that are used in tests only: its time depends on the factor."""
    product = None
    while factor:
        if factor & 1:
            product = add(product, point)
        point, factor = add(point, point), factor >> 1
    return product


def digest(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha256")


class ResumingStream:
    """The byte streams of a session, over one connection after the other.

    It has a `reader`, and what a session uses of a writer. `connect` makes a connection.
    """

    def __init__(self, connect):
        self.connect = connect
        self.reader = asyncio.StreamReader()
        self.kept = bytearray()  # What was sent and not acknowledged, END as one byte.
        self.acknowledged = self.received = self.told = 0
        self.attempt = self.resumed = 0
        self.connection = self.reading = None
        self.ended = False
        self.room = asyncio.Event()

    async def begin(self):
        reader, connection = await self.connect()
        private = secrets.randbelow(2**255) + 1
        x, y = (n.to_bytes(32, "big") for n in multiply(G, private))
        hello = MAGIC + struct.pack(">BI", HELLO_NEW, LIMIT) + secrets.token_bytes(32)
        hello += b"\x04" + x + y
        connection.write(hello)
        answer = await self.answer(reader, ANSWER_NEW, 158)
        (self.peer_limit,) = struct.unpack(">I", answer[9:13])
        self.id = answer[45:61]
        theirs = (int.from_bytes(answer[at : at + 32], "big") for at in (62, 94))
        secret = multiply(tuple(theirs), private)[0].to_bytes(32, "big")
        salt = hashlib.sha256(hello + answer[:-32]).digest()
        self.key = digest(digest(salt, secret), b"qtalk resume\x01")
        self.finish(connection, hello, answer)
        if await reader.readexactly(9) != struct.pack(">BQ", ACK, 0):
            raise ConnectionError("the first record is not ACK of 0")
        self.use(reader, connection, 0)

    async def resume(self):
        """Continues the session over another connection."""
        reader, connection = await self.connect()
        self.attempt += 1
        hello = MAGIC + struct.pack(">BI", HELLO_RESUME, self.attempt)
        hello += secrets.token_bytes(32) + self.id
        connection.write(hello)
        answer = await self.answer(reader, ANSWER_RESUME, 81)
        self.finish(connection, hello, answer)
        self.resumed += 1
        self.use(reader, connection, *struct.unpack(">Q", answer[9:17]))

    async def answer(self, reader, kind, size):
        head = await reader.readexactly(9)
        if head != MAGIC + bytes([kind]):
            raise ConnectionError(f"the listener has answered {head}")
        return head + await reader.readexactly(size - 9)

    def finish(self, connection, hello, answer):
        if answer[-32:] != digest(self.key, b"\x01", hello, answer[:-32]):
            raise ConnectionError("the proof of the listener is wrong")
        received = struct.pack(">Q", self.received)
        connection.write(received + digest(self.key, b"\x02", hello, answer, received))

    def use(self, reader, connection, offset):
        self.connection = connection
        self.acknowledge(offset)
        for at in range(0, len(self.kept) - self.ended, 65536):
            self.send_data(self.kept[at : min(at + 65536, len(self.kept) - self.ended)])
        if self.ended and self.kept:
            connection.write(bytes([END]))
        self.reading = asyncio.ensure_future(self.read(reader, connection))

    async def cut(self):
        """Loses the connection without a word, and resumes."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.reading.cancel()
            connection.transport.abort()
            await self.resume()

    def acknowledge(self, offset):
        count = max(0, offset - self.acknowledged)
        if count > len(self.kept):
            raise ConnectionError("what was not sent is acknowledged")
        del self.kept[:count]
        self.acknowledged += count
        self.room.set()

    def send_data(self, data):
        if self.connection is not None:
            self.told = self.received
            self.connection.write(struct.pack(">BIQ", DATA, len(data), self.received) + data)

    def write(self, data):
        self.kept += data
        self.send_data(data)

    async def drain(self):
        while len(self.kept) > LIMIT:
            self.room.clear()
            await self.room.wait()

    def write_eof(self):
        self.ended = True
        self.kept += bytes([END])
        if self.connection is not None:
            self.connection.write(bytes([END]))

    def close(self):
        if self.connection is not None:
            self.connection.write(bytes([CLOSE]))
            self.connection.close()

    async def read(self, reader, connection):
        """Takes records until the session or the connection has ended."""
        try:
            while await self.take_record(reader, connection) not in (END, CLOSE):
                pass
            self.reader.feed_eof()
        except (EOFError, OSError) as error:
            self.reader.set_exception(error)

    async def take_record(self, reader, connection):
        kind = (await reader.readexactly(1))[0]
        size = 0
        if kind == DATA:
            size = int.from_bytes(await reader.readexactly(4), "big")
        if kind in (DATA, ACK, PING, PONG):
            self.acknowledge(int.from_bytes(await reader.readexactly(8), "big"))
        if kind == PING:
            connection.write(struct.pack(">BQ", PONG, self.received))
        self.reader.feed_data(await reader.readexactly(size))
        self.received += size
        if self.received - self.told >= self.peer_limit // 4:
            self.told = self.received
            connection.write(struct.pack(">BQ", ACK, self.received))
        return kind
