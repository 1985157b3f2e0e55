"""What uvicorn, on h11, passes to a program (ASGI), one JSON line a request."""

import json
import os

SEEN = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, cut, more = b"", False, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            cut = True
            break
        body += event.get("body", b"")
        more = event.get("more_body", False)
    fields = [(name.decode("latin1"), value.decode("latin1")) for name, value in scope["headers"]]
    query = scope["query_string"].decode("latin1")
    line = {
        "method": scope["method"],
        "target": scope["raw_path"].decode("latin1") + ("?" + query if query else ""),
        "host": dict(fields).get("host", ""),
        "fields": fields,
        "body": body.hex(),
        "cut": cut,
    }
    os.write(SEEN, json.dumps(line).encode() + b"\n")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"seen"})
