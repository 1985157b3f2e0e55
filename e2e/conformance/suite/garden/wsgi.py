"""What gunicorn passes to a program (PEP 3333), one JSON line a request. Names of fields lost their case and their dashes."""

import json
import os

SEEN = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def app(environ, start_response):
    body, cut = b"", False
    try:
        body = environ["wsgi.input"].read()
        cut = len(body) < int(environ.get("CONTENT_LENGTH") or 0)
    except Exception:
        cut = True
    names = {key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")}
    names |= {key: environ[key] for key in ("CONTENT_TYPE",) if key in environ}
    line = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "host": environ.get("HTTP_HOST", ""),
        "fields": [(name.replace("_", "-").lower(), value) for name, value in names.items()],
        "body": body.hex(),
        "cut": cut,
    }
    os.write(SEEN, json.dumps(line).encode() + b"\n")
    start_response("200 OK", [("content-length", "4")])
    return [b"seen"]
