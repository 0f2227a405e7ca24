"""The service, and a client of it:

python3 main.py serve tcp                          prints "listening HOST:PORT"
python3 main.py client|resuming tcp HOST:PORT [CASE…]  prints a line of JSON for each

Without a CASE, the client runs all of them. `resuming` loses its connection every 50 ms,
and resumes.
"""

import asyncio
import json
import sys

from cases import CASES
from resume import ResumingStream
from rpc import Peer
from service import Service

CASE_SECONDS = 30
CUT_SECONDS = 0.05


async def serve():
    service = Service()

    async def accept(reader, writer):
        try:
            await Peer(reader, writer, service.handlers()).session.running
        except Exception as error:
            print(f"serve: session: {error!r}", file=sys.stderr, flush=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print("listening {}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


async def run(peer, names):
    for name in names or CASES:
        result = {"case": name, "ok": True}
        try:
            await asyncio.wait_for(CASES[name](peer), CASE_SECONDS)
        except Exception as error:
            result = {"case": name, "ok": False, "error": repr(error)}
        print(json.dumps(result), flush=True)


async def client(address, names, resuming):
    host, port = address.split(":")
    connect = lambda: asyncio.open_connection(host, port)
    if not resuming:
        peer = Peer(*await connect(), Service().handlers())
        await run(peer, names)
    else:
        stream = ResumingStream(connect)
        await stream.begin()
        peer = Peer(stream.reader, stream, Service().handlers())
        running = asyncio.ensure_future(run(peer, names))
        while not (await asyncio.wait({running}, timeout=CUT_SECONDS))[0]:
            await stream.cut()
        print(json.dumps({"case": "resumed", "ok": stream.resumed > 0}))
    await peer.session.close()


if __name__ == "__main__":
    command, _transport, *rest = sys.argv[1:]
    if command == "serve":
        asyncio.run(serve())
    else:
        asyncio.run(client(rest[0], rest[1:], command == "resuming"))
