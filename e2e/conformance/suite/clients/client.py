"""Python's own client for HTTP/1.1, httpx for HTTP/2 with prior knowledge: `client.py URL http1|h2`."""
import http.client
import json
import sys
import urllib.parse

url, version = sys.argv[1:]
body = "x" * 64 * 1024


def http1(method, sent):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=20)
    connection.request(method, "/hello?a=b", body=sent or None)
    answer = connection.getresponse()
    return answer.status, answer.read()


def h2(method, sent):
    import httpx

    with httpx.Client(http1=False, http2=True, timeout=20) as client:
        answer = client.request(method, f"{url}/hello?a=b", content=sent or None)
        return answer.status_code, answer.content


for method, sent in (("GET", ""), ("POST", body)):
    status, answer = (h2 if version == "h2" else http1)(method, sent)
    echo = json.loads(answer)
    assert status == 200, (method, status, answer[:200])
    assert (echo["method"], echo["path"], echo.get("body", "")) == (method, "/hello?a=b", sent), (method, answer[:200])
