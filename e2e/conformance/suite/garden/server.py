"""CPython's http.server: says which requests it saw, one JSON line each. Chunked bodies are for the program to read, and read strictly."""

import http.server
import json
import os
import sys

SEEN = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def chunks(file):
    while True:
        size = file.readline(1024).split(b";")[0].strip()
        if not size or any(digit not in b"0123456789abcdefABCDEF" for digit in size):
            raise EOFError
        size = int(size, 16)
        if size == 0:
            while file.readline(65536) not in (b"\r\n", b"\n", b""):
                pass
            return
        data = file.read(size)
        if len(data) < size or file.readline(8).strip():
            raise EOFError
        yield data


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def see(self):
        body, cut = b"", False
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                for chunk in chunks(self.rfile):
                    body += chunk
            else:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                cut = len(body) < length
        except EOFError:
            cut = True
        line = {
            "method": self.command,
            "target": self.path,
            "host": self.headers.get("host", ""),
            "fields": self.headers.items(),
            "body": body.hex(),
            "cut": cut,
        }
        os.write(SEEN, json.dumps(line).encode() + b"\n")
        self.close_connection = self.close_connection or cut
        self.send_response(200)
        self.send_header("content-length", "0" if self.command == "HEAD" else "4")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"seen")

    def __getattr__(self, name):
        # Whatever the method is.
        if name.startswith("do_"):
            return self.see
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
