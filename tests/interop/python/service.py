"""The service whose contract is the comment of ../go/service.go, and extended_cases.ts."""

import asyncio
import hashlib
import os

from rpc import CallError, handler_of

PATTERN = bytes((i * 31 + (i >> 8)) & 255 for i in range(65536))


def pattern(size):
    """The pattern of ../pattern.ts, in pieces that are `size` bytes together."""
    for at in range(0, size, len(PATTERN)):
        yield PATTERN[: size - at]


class Service:
    """All connections that use it share what it counts and keeps."""

    def __init__(self):
        self.cancelled = self.left = 0
        self.kept = None

    def handlers(self):
        functions = [self.Upper, self.Add, self.Fail, self.Error]
        functions += [self.Apply, self.Each, self.Kept, self.Adder, self.Numbers, self.refuse]
        calls = [self.echo, self.multi, self.none, self.sum, self.callback, self.slow]
        calls += [self.Keep, self.Doubled, self.context]
        calls += [self.count, self.bytes, self.sink, self.source, self.die]
        handlers = {function.__name__: handler_of(function) for function in functions}
        handlers.update({call.__name__: call for call in calls})
        handlers["Total"] = self.sum
        handlers["cancelled"] = lambda call: call.answer(self.cancelled)
        handlers["left"] = lambda call: call.answer(self.left)
        for name in "context", "refuse":
            handlers[f"extended.{name}"] = handlers.pop(name)
        return handlers

    async def Upper(self, text):
        return text.upper()

    async def Add(self, a, b):
        return a + b

    async def Fail(self, text):
        raise CallError(text or "Error")  # The text of an error is not empty.

    async def Error(self, text):
        raise CallError(f"{text} [/Error]")

    async def Apply(self, function, value):
        return await function(value)

    async def Each(self, options):
        return [await options["fn"](item) for item in options["items"]]

    async def Keep(self, call):
        (function,) = await call.receive()
        self.kept = call.keep(function)

    async def Kept(self, value):
        return await self.kept(value)

    async def Adder(self, n):
        async def add(m):
            return n + m

        return add

    async def Numbers(self, count):
        if count < 0:
            raise CallError("there are no negative counts")
        return self.numbers(count)

    async def numbers(self, count):
        sent = 0
        try:
            for sent in range(count):
                yield sent
            sent = count
        finally:
            self.left += sent < count

    async def Doubled(self, call):
        await call.stream(self.doubled(call))

    async def doubled(self, call):
        for _ in range(await call.receive()):
            yield 2 * await call.receive()

    async def echo(self, call):
        await call.answer(await call.receive())

    async def multi(self, call):
        await call.answer(1, "two", [3])

    async def none(self, call):
        await call.receive()

    async def sum(self, call):
        count = await call.receive()
        await call.answer(sum([await call.receive() for _ in range(count)]))

    async def callback(self, call):
        await call.answer(await call.peer.call(*await call.receive()))

    async def slow(self, call):
        ms = await call.receive()
        try:
            await asyncio.sleep(ms / 1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await call.answer(ms)

    async def count(self, call):
        count = await call.receive()
        channel = await call.go_on(count)
        for n in range(count):
            await call.send(n)
        channel.end()

    async def bytes(self, call):
        await call.receive()
        channel = await call.go_on()
        while data := await channel.read():
            await channel.write(data)
        channel.end()

    async def sink(self, call):
        await call.receive()
        channel = await call.go_on()
        size, sha256 = 0, hashlib.sha256()
        while data := await channel.read():
            size += len(data)
            sha256.update(data)
        await call.send({"bytes": size, "sha256": sha256.hexdigest()})
        channel.end()

    async def source(self, call):
        size = await call.receive()
        channel = await call.go_on(size)
        for piece in pattern(size):
            await channel.write(piece)
        channel.end()

    async def die(self, call):
        await call.receive()
        channel = await call.go_on()
        await channel.write(PATTERN[:1000])
        await asyncio.sleep(0.1)  # As in service.ts: unread bytes would reset the connection.
        os._exit(3)

    async def context(self, call):
        await call.receive()
        call.answer_meta["node"] = "a"
        left = call.seconds_left()
        await call.answer({"meta": call.meta, "left": left and left * 1000})

    async def refuse(self):
        text, details = "There is none left", {"left": 0}
        error = CallError(text, code="out-of-stock", details=details, meta={"shop": 5})
        raise error from TypeError("The shelf is empty")
