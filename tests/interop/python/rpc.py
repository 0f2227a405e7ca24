"""Calls on channels, as rpc/SPEC.md specifies them, of an extended peer with JSON."""

import asyncio
import inspect
import json
import secrets
import struct
import time

from qmux import Closed, Lost, Session

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-~"
MAX_HEADER = 64 * 1024
MARK = bytes(4)  # A length of 0, before a header within a stream.


class CallError(Exception):
    """An error as the answer to a call."""

    def __init__(self, text, code=None, details=None, meta=None):
        super().__init__(text)
        self.code, self.details, self.meta = code, details, meta


class RemoteError(Exception):
    """The other end has answered with an error."""

    def __init__(self, text, q):
        super().__init__(text if text.startswith("remote:") else f"remote: {text}")
        self.text, self.q, self.code = text, q, q.get("code")


class Incomplete(Exception):
    """Data was cut before its end."""


def canonical(selector):
    return "/" + selector.replace(".", "/").removeprefix("/")


def random_text(size):
    return "".join(secrets.choice(ALPHABET) for _ in range(size))


class RemoteFunction:
    """A function of the peer."""

    def __init__(self, peer, function_id):
        self.peer, self.id, self.granted = peer, function_id, 0

    async def __call__(self, *args):
        return await self.peer.call(self.id, list(args))

    async def release(self):
        self.peer.remote_functions.pop(self.id, None)
        await self.peer.call(f"/_qtalk/release/{self.id}", self.granted)


class Values:
    """What one end of a call sends and receives on the channel."""

    def __init__(self, peer, channel):
        self.peer, self.channel = peer, channel
        self.lent = []  # The IDs of functions that were sent.
        self.found = []  # The functions of the peer that have arrived.
        self.are_bytes = False

    def use(self, header):
        self.q = header.get("Q") or {}
        self.is_extended = self.q.get("v", 0) >= 1
        self.meta = self.q.get("meta") or {}

    def encode(self, *values):
        texts = [json.dumps(value, default=self.pointer).encode() for value in values]
        return b"".join(struct.pack(">I", len(text)) + text for text in texts)

    def pointer(self, value):
        if isinstance(value, RemoteFunction):
            return {"$fnptr": value.id}
        self.lent.append(self.peer.lend(value))
        return {"$fnptr": self.lent[-1]}

    def decode(self, data):
        def function(value):
            if list(value) != ["$fnptr"]:
                return value
            self.found.append(self.peer.function_of(value["$fnptr"]))
            return self.found[-1]

        return json.loads(data, object_hook=function)

    async def read(self, limit=2**32):
        """The bytes of the next value, None at the end."""
        prefix = await self.channel.read_exactly(4)
        if not prefix:
            return None
        size = int.from_bytes(prefix, "big")
        if size > limit:
            raise ValueError(f"a header of {size} bytes")
        data = await self.channel.read_exactly(size)
        if len(prefix) < 4 or len(data) < size:
            raise Incomplete("the data ends within a value")
        return data

    async def receive(self):
        """The next value of several; raises StopAsyncIteration after the last."""
        while (data := await self.read()) == b"" and self.is_extended:
            header = self.decode(await self.read(MAX_HEADER))
            q = header.get("Q") or {}
            if header.get("Error") is not None:
                raise RemoteError(header["Error"], q)
            self.are_bytes = q.get("bytes", self.are_bytes)
            if "bytes" not in q:
                self.q.pop("trailer", None)  # It has come.
        if data is not None:
            return data if self.are_bytes else self.decode(data)
        if self.is_extended and (not self.channel.ended or self.q.get("trailer")):
            raise Incomplete("the stream was cut")
        raise StopAsyncIteration

    __anext__ = receive

    def __aiter__(self):
        return self

    async def send(self, *values):
        await self.channel.write(self.encode(*values))


class Response(Values):
    """The answer to a call of this end."""

    async def begin(self):
        data = await self.read(MAX_HEADER)
        if data is None:
            raise Closed("there is no response")
        header = self.decode(data)
        self.use(header)
        self.is_continued = bool(header.get("Continue", header.get("C")))
        for kept in self.q.get("keep", []):
            self.lent.remove(kept)  # A release will give it back.
        error = header.get("Error", header.get("E"))
        if error is not None:
            raise RemoteError(error, self.q)
        data = await self.read()
        self.value = None if data is None else self.decode(data)
        for function in self.found:
            function.granted += 1
        return self

    def finish(self):
        """Ends the call after all of the response was taken."""
        self.channel.end()
        self.leave()

    def leave(self):
        """Ends the call."""
        self.channel.close()
        while self.lent:
            self.peer.give_back(self.lent.pop(), 1)


class Call(Values):
    """A call of the other end, which a handler answers."""

    def __init__(self, peer, channel, header):
        super().__init__(peer, channel)
        self.use(header)
        self.selector = canonical(header.get("Selector", header.get("S", "")))
        limit = self.q.get("deadline")
        self.deadline = None if limit is None else time.monotonic() + limit / 1000
        self.is_answered = False
        self.answer_meta = {}
        self.kept = []

    def seconds_left(self):
        return None if self.deadline is None else self.deadline - time.monotonic()

    def keep(self, function):
        """Keeps a function of the caller beyond the end of the call."""
        function.granted += 1
        self.kept.append(function.id)
        return function

    def header(self, error=None, is_continued=False, **q):
        header = {"Error": error, "Continue": is_continued, "E": error, "C": is_continued}
        if self.is_extended:
            lends = self.peer.prefix if is_continued or self.lent else None
            q = {**q, "meta": self.answer_meta, "keep": self.kept, "lends": lends}
            header["Q"] = {"v": 1, **{name: value for name, value in q.items() if value}}
        return self.encode(header)

    async def answer(self, *values):
        """Answers with values, and ends the call."""
        data = self.encode(*values or [None])  # First, since it may lend functions.
        self.is_answered = True
        await self.channel.write(self.header() + data)
        self.channel.end()
        if self.lent and self.is_extended:
            await self.channel.until(lambda: self.channel.peer_closed)

    async def go_on(self, value=None, **q):
        """Answers with a value, and keeps the channel."""
        self.is_answered = True
        await self.channel.write(self.header(is_continued=True, **q) + self.encode(value))
        return self.channel

    async def fail(self, error):
        """Answers with an error."""
        self.is_answered = True
        await self.channel.write(self.error_header(error) + self.encode(None))
        self.channel.end()

    def error_header(self, error):
        self.answer_meta.update(getattr(error, "meta", None) or {})
        return self.header(
            str(error),
            name=type(error).__name__,
            code=getattr(error, "code", None),
            details=getattr(error, "details", None),
            causes=[str(error.__cause__)] if error.__cause__ else None,
        )

    async def stream(self, values):
        """Answers with a stream of values."""
        await self.go_on(trailer=True)
        try:
            async for value in values:
                await self.send(value)
            trailer = self.header()
        except CallError as error:
            if not self.is_extended:
                return  # CLOSE without EOF follows.
            trailer = self.error_header(error)
        finally:
            await values.aclose()
        if self.is_extended:
            await self.channel.write(MARK + trailer)
        self.channel.end()


def handler_of(function):
    """A handler that calls a function with the arguments of the call."""
    expected = len(inspect.signature(function).parameters)

    async def handler(call):
        arguments = await call.receive() or []
        if len(arguments) != expected:
            raise CallError(f"fn: expected {expected} params, got {len(arguments)}")
        result = await function(*arguments)
        await (call.stream if inspect.isasyncgen(result) else call.answer)(result)

    return handler


class Peer:
    """Calls the other end, and answers its calls."""

    def __init__(self, reader, writer, handlers):
        self.handlers = {canonical(name): handler for name, handler in handlers.items()}
        self.prefix = "_" + random_text(6)
        self.functions = {}  # Those of this end by ID, and how often each is granted.
        self.remote_functions = {}
        self.session = Session(reader, writer, self.serve)

    def lend(self, function):
        for function_id, entry in self.functions.items():
            if entry[0] is function:
                entry[1] += 1
                return function_id
        function_id = self.prefix + "f" + random_text(12)
        self.functions[function_id] = [function, 1]
        return function_id

    def give_back(self, function_id, count):
        entry = self.functions.get(function_id)
        if entry is not None:
            entry[1] -= count
            if entry[1] <= 0:
                del self.functions[function_id]

    def function_of(self, function_id):
        if function_id in self.functions:
            return self.functions[function_id][0]
        remote = RemoteFunction(self, function_id)
        return self.remote_functions.setdefault(function_id, remote)

    async def call(self, selector, argument=None, **options):
        """Calls, and returns the first value of the response."""
        response = await self.request(selector, argument, **options)
        response.finish()
        return response.value

    async def request(self, selector, argument=None, values=None, meta=None, timeout=None):
        """Calls with an argument, or a stream of `values`; returns the response."""
        response = Response(self, await self.session.open())
        q = {"v": 1, "meta": meta or {}}
        if values is not None:
            q.update(stream=True, lends=self.prefix)
        elif argument is not None and not isinstance(argument, list):
            q["stream"] = False
        if timeout is not None:
            q["deadline"] = int(timeout * 1000)
        data = b"" if values is not None else response.encode(argument)
        if response.lent:
            q["lends"] = self.prefix
        header = response.encode({"Selector": selector, "S": selector, "Q": q})
        sending = self.session.spawn(self.send_arguments(response, header + data, values))
        try:
            return await asyncio.wait_for(response.begin(), timeout)
        except BaseException:
            sending.cancel()
            response.leave()
            raise

    async def send_arguments(self, response, data, values):
        try:
            await response.channel.write(data)
            if values is not None:
                async for value in values:
                    await response.send(value)
                response.channel.end()
        except (Closed, Lost):
            pass  # The response, which may come before all was sent, says why.

    async def serve(self, channel):
        """Answers the call on a channel of the peer."""
        try:
            header = await Values(self, channel).read(MAX_HEADER)
            if header is not None:
                await self.run(Call(self, channel, json.loads(header)))
        except (Closed, Lost, Incomplete, ValueError):
            pass  # It is no call, or its caller has left.
        finally:
            channel.close()

    async def run(self, call):
        """Runs a handler until it has ended, or its caller has left."""
        left = asyncio.ensure_future(call.channel.until(lambda: call.channel.peer_closed))
        handling = asyncio.ensure_future(self.handle(call))
        tasks = {left, handling}
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=call.seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
            if not done and not call.is_answered:
                handling.cancel()
                await call.fail(CallError("the deadline has passed", "deadline-exceeded"))
            elif not done:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def handle(self, call):
        name = call.selector[1:]
        try:
            if name == "_qtalk/ping":
                await call.answer()
            elif name.startswith("_qtalk/release/" + self.prefix):
                count = await call.receive()
                self.give_back(name.rpartition("/")[2], count if type(count) is int else 1)
                await call.answer()
            elif name in self.functions:
                await handler_of(self.functions[name][0])(call)
            elif name.startswith(self.prefix):
                raise CallError(f"{name} cannot be called: it was released", "released")
            elif call.selector in self.handlers:
                await self.handlers[call.selector](call)
                if not call.is_answered:
                    await call.answer()
            else:
                raise CallError(f"not found: {call.selector}", "not-found")
        except (Closed, Lost, Incomplete):
            pass  # The caller has left.
        except Exception as error:
            if not call.is_answered:
                await call.fail(error)
