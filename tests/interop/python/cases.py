"""What a client expects of the service, case by case as in ../cases.ts."""

import asyncio

from rpc import RemoteError
from service import PATTERN, pattern

MIB = 2**20


def expect(actual, expected):
    if actual != expected:
        raise AssertionError(f"got {actual!r}, expected {expected!r}"[:500])


async def expect_error(text, call):
    try:
        await call
    except RemoteError as error:
        expect(error.text, text)
        return error
    raise AssertionError(f"no error with the text {text}")


async def unary(peer):
    values = [None, True, False, 0, 1, -1, 255, 65536, 2**53 - 1, 1.5, -0.25]
    values += ["", "hello", "ünï 🦕 <&>\u2028\0", "x" * MIB, "y" * 3 * MIB]
    values += [[], [1, "two", None, [3.5, []]], {}, {"a": 1, "nested": {"list": [True, None]}}]
    for value in values:
        expect(await peer.call("echo", value), value)
    expect(await peer.call("/Upper", ["slash"]), "SLASH")
    expect(await peer.call("Add", [19, 23]), 42)


async def error(peer):
    await expect_error("boom", peer.call("Fail", ["boom"]))
    await expect_error("user error [/Error]", peer.call("Error", ["user error"]))


async def not_found(peer):
    await expect_error("not found: /no/such/selector", peer.call("no.such/selector"))
    await expect_error("not found: /", peer.call(""))


async def multi(peer):
    response = await peer.request("multi")
    values = [response.value] + [value async for value in response]
    response.finish()
    expect((response.is_continued, values), (False, [1, "two", [3]]))


async def none(peer):
    expect(await peer.call("none", "ignored"), None)


async def counted(count):
    yield count
    for n in range(count):
        yield n


async def stream_args(peer):
    for count in 0, 1, 1000:
        expect(await peer.call("sum", values=counted(count)), sum(range(count)))


async def stream_replies(peer):
    for count in 0, 1, 1000:
        response = await peer.request("count", count)
        values = [value async for value in response]
        response.finish()
        expect((response.value, values), (count, list(range(count))))


async def hijack(peer):
    size = 8 * MIB
    channel = (await peer.request("bytes")).channel

    async def write():
        for piece in pattern(size):
            await channel.write(piece)
        channel.end()

    writing = asyncio.ensure_future(write())
    at = 0
    while data := await channel.read():
        start = at % len(PATTERN)
        expect(data == (PATTERN + PATTERN)[start : start + len(data)], True)
        at += len(data)
    expect(at, size)
    await writing
    await channel.until(lambda: channel.peer_closed)


async def callback(peer):
    value = {"n": 21, "list": [1, None]}
    upper = ["Upper", ["back"]]
    expect(await peer.call("callback", ["echo", value]), value)
    expect(await peer.call("callback", ["callback", ["callback", upper]]), "BACK")
    await expect_error("remote: boom", peer.call("callback", ["Fail", ["boom"]]))


async def pass_function(peer):
    async def double(n):
        return 2 * n

    async def length(name):
        return len(await peer.call("echo", name))

    expect(await peer.call("Apply", [double, 21]), 42)
    expect(await peer.call("Each", [{"items": ["Ann", "Bo"], "fn": length}]), [3, 2])
    expect(peer.functions, {})
    await peer.call("Keep", [double])
    expect(await peer.call("Kept", [4]), 8)
    expect(len(peer.functions), 1)


async def receive_function(peer):
    add, more = await asyncio.gather(peer.call("Adder", [20]), peer.call("Adder", [-1]))
    expect([await add(22), await more(1), await add(0)], [42, 0, 20])
    await add.release()
    try:
        await add(1)
        raise AssertionError("a function was called after its release")
    except RemoteError as error:
        expect(error.code, "released")


async def generator(peer):
    for count in 0, 1, 1000:
        response = await peer.request("Numbers", [count])
        expect([value async for value in response], list(range(count)))
        response.finish()
    text = "there are no negative counts"
    await expect_error(text, peer.call("Numbers", [-1]))


async def leave_generator(peer):
    before = await peer.call("left")
    response = await peer.request("Numbers", [1_000_000])
    expect([await response.receive() for _ in range(10)], list(range(10)))
    response.leave()
    while await peer.call("left") == before:
        pass


async def stream_to_function(peer):
    for count in 0, 1, 1000:
        expect(await peer.call("Total", values=counted(count)), sum(range(count)))
        response = await peer.request("Doubled", values=counted(count))
        expect([value async for value in response], [2 * n for n in range(count)])
        response.finish()


async def concurrent(peer):
    calls = [peer.call("Add", [n, 1000]) for n in range(1000)]
    expect(await asyncio.gather(*calls), list(range(1000, 2000)))


async def cancel(peer):
    before = await peer.call("cancelled")
    slow = asyncio.ensure_future(peer.call("slow", 30_000))
    await peer.call("echo")
    slow.cancel()
    while await peer.call("cancelled") == before:
        pass


async def deadline(peer):
    try:
        await asyncio.wait_for(peer.call("slow", 30_000, timeout=0.05), 5)
        raise AssertionError("no error")
    except (asyncio.TimeoutError, RemoteError):
        expect(await peer.call("slow", 1), 1)


async def extended(peer):
    meta = {"token": "t", "list": [1, None]}
    response = await peer.request("extended.context", meta=meta, timeout=60)
    response.finish()
    expect((response.value["meta"], response.meta), (meta, {"node": "a"}))
    expect(0 < response.value["left"] <= 60_000, True)
    q = (await expect_error("There is none left", peer.call("extended.refuse"))).q
    expect((q["code"], q["details"]), ("out-of-stock", {"left": 0}))
    expect((q["name"], q["causes"]), ("CallError", ["The shelf is empty"]))
    expect(q["meta"], {"shop": 5})


async def ping(peer):
    expect(await peer.call("/_qtalk/ping"), None)


CASES = {
    case.__name__.replace("_", "-"): case
    for case in [unary, error, not_found, multi, none, stream_args, stream_replies, hijack]
    + [callback, pass_function, receive_function, generator, leave_generator]
    + [stream_to_function, concurrent, cancel, deadline, extended, ping]
}
