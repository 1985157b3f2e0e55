"""WebSocket with Python's `websockets`: `peer.py serve PORT` echoes, `peer.py call URL` checks an echo."""
import asyncio
import sys

import websockets

MEGABYTE = bytes(at * 7 % 251 for at in range(1 << 20))


async def echo(connection, path):
    assert path == "/chat?room=1", path
    assert connection.request_headers["X-User"] == "tester", connection.request_headers
    async for message in connection:
        if message == "close":
            await connection.close(4001, "as asked")
            return
        await connection.send(message)


async def serve(port):
    async with websockets.serve(echo, None, port, subprotocols=["echo.v1"], max_size=1 << 24):
        await asyncio.Future()


async def call(url):
    headers = {"X-User": "tester"}
    protocols = ["other.v2", "echo.v1"]
    async with websockets.connect(url, subprotocols=protocols, extra_headers=headers, max_size=1 << 24) as connection:
        assert connection.subprotocol == "echo.v1", connection.subprotocol
        for message in ("", "hello, wörld", b"", b"\x00\xff", MEGABYTE, "x" * 70_000):
            await connection.send(message)
            assert await connection.recv() == message, message[:40]
        # One message in fragments.
        await connection.send(part for part in ["a", "b" * 500, "", "c"])
        assert await connection.recv() == "a" + "b" * 500 + "c"
        for number in range(300):
            await connection.send(str(number))
        for number in range(300):
            assert await connection.recv() == str(number)
        await asyncio.wait_for(await connection.ping(b"still there?"), 10)
        await connection.send("close")
        try:
            await connection.recv()
            raise AssertionError("not closed")
        except websockets.ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as asked"), closed


async def main(what, argument):
    if what == "serve":
        await serve(int(argument))
    else:
        await asyncio.wait_for(call(argument), 30)


asyncio.run(main(*sys.argv[1:]))
