"""Makes the calls a file of cells asks for, side by side: `call.py CELLS AUTHORITY`. Prints what became of each, as one JSON object.

A cell is {"name", "protocol", "host", "port", "marker"}. What became of it is "served" when the marker came back as the protocol wants,
"denied" when the mesh said so in the words of HTTP or gRPC, "closed" when there was nothing but the end of the connection.
"""
import base64
import concurrent.futures
import json
import os
import socket
import ssl
import struct
import sys

import h2.config
import h2.connection
import h2.events

LIMIT = 15.0


def http1(stream, marker):
    body = marker.encode()
    stream.sendall(b"POST /cell HTTP/1.1\r\nhost: cell.test\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    head, rest = until(stream, b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if status != 200:
        return denied(status == 403 and b"tulle-error: denied" in head, status)
    length = int(field(head, b"content-length"))
    return served(marker in json.loads(exactly(stream, length, rest))["body"])


def websocket(stream, marker):
    key = base64.b64encode(os.urandom(16))
    stream.sendall(
        b"GET /cell HTTP/1.1\r\nhost: cell.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: " + key + b"\r\n\r\n"
    )
    head, rest = until(stream, b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if status != 101:
        return denied(status == 403 and b"tulle-error: denied" in head, status)
    # A mask of zeros is a mask (RFC 6455 section 5.3), and leaves the marker to be seen on the wire.
    text = marker.encode()
    stream.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
    frame = exactly(stream, 2, rest)
    answer = exactly(stream, frame[1], rest[2:])
    return served(json.loads(answer)["id"] == marker)


def http2(stream, marker, grpc=False):
    body = marker.encode()
    path, kind = ("/cell", "text/plain")
    if grpc:
        message = b"\x0a" + bytes([len(body)]) + body
        body = b"\x00" + struct.pack(">I", len(message)) + message
        path, kind = ("/echo.Echo/Unary", "application/grpc")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    head = [(":method", "POST"), (":scheme", "http"), (":authority", "cell.test"), (":path", path)]
    connection.send_headers(1, head + [("content-type", kind), ("te", "trailers")])
    connection.send_data(1, body, end_stream=True)
    stream.sendall(connection.data_to_send())
    said, got = {}, b""
    while True:
        data = stream.recv(65536)
        if not data:
            return "closed"
        for event in connection.receive_data(data):
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                said.update(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                got += event.data
            elif isinstance(event, h2.events.StreamEnded):
                stream.sendall(connection.data_to_send())
                if grpc:
                    status = said.get("grpc-status")
                    fine = status == "0" and marker.encode() in got
                    return served(True) if fine else denied(status == "7" and "tulle-error" in said, f"grpc {status}")
                status = said[":status"]
                if status != "200":
                    return denied(status == "403" and "denied" in said.get("tulle-error", ""), status)
                return served(marker in json.loads(got)["body"])
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                return f"ended by {event}"
        stream.sendall(connection.data_to_send())


def tcp(stream, marker):
    stream.sendall(marker.encode() + b"\n")
    return served(exactly(stream, len(marker) + 1) == marker.encode() + b"\n")


def tls(stream, marker):
    context = ssl.create_default_context(cafile=AUTHORITY)
    with context.wrap_socket(stream, server_hostname="cell.test") as inner:
        inner.sendall(marker.encode() + b"\n")
        return served(exactly(inner, len(marker) + 1) == marker.encode() + b"\n")


def server_first(stream, marker):
    greeting, _ = until(stream, b"\r\n")
    if not greeting.startswith(b"220 "):
        return f"greeted with {greeting}"
    return tcp(stream, marker)


PROTOCOLS = {
    "http1": http1,
    "h2c": http2,
    "grpc": lambda stream, marker: http2(stream, marker, grpc=True),
    "websocket": websocket,
    "tcp": tcp,
    "tls": tls,
    "server-first": server_first,
}


def served(right):
    return "served" if right else "answered with something else"


def denied(by_the_mesh, status):
    return "denied" if by_the_mesh else f"status {status}"


def field(head, name):
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next(value.strip() for own, _, value in lines if own.lower() == name)


def until(stream, end):
    got = b""
    while end not in got:
        data = stream.recv(4096)
        if not data:
            raise ConnectionResetError("closed")
        got += data
    head, _, rest = got.partition(end)
    return head, rest


def exactly(stream, count, got=b""):
    while len(got) < count:
        data = stream.recv(count - len(got))
        if not data:
            raise ConnectionResetError("closed")
        got += data
    return got[:count]


def call(cell):
    try:
        with socket.create_connection((cell["host"], cell["port"]), timeout=LIMIT) as stream:
            return PROTOCOLS[cell["protocol"]](stream, cell["marker"])
    except (ConnectionError, ssl.SSLEOFError) as error:
        return "closed" if not isinstance(error, ConnectionRefusedError) else "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


with open(sys.argv[1]) as file:
    cells = json.load(file)
AUTHORITY = sys.argv[2]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(dict(zip([cell["name"] for cell in cells], pool.map(call, cells)))))
