// Node's http, or http2 with prior knowledge: says which requests it saw, one JSON line each.
import { appendFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";

const [version, port, seen] = process.argv.slice(2);

function see(request, response) {
  const parts = [];
  let said = false;
  const say = (cut) => {
    if (said) return;
    said = true;
    const raw = request.rawHeaders;
    const fields = [];
    for (let at = 0; at + 1 < raw.length; at += 2) fields.push([raw[at], raw[at + 1]]);
    const line = {
      method: request.method,
      target: request.url,
      host: request.headers[":authority"] ?? request.headers.host ?? "",
      fields,
      body: Buffer.concat(parts).toString("hex"),
      cut,
    };
    appendFileSync(seen, JSON.stringify(line) + "\n");
  };
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    say(false);
    response.writeHead(200, { "content-length": 4 });
    response.end("seen");
  });
  request.on("aborted", () => say(true));
  request.on("error", () => say(true));
}

const server = version === "h2" ? http2.createServer(see) : http.createServer(see);
if (version === "http1") {
  const late = (request, socket) => {
    see(request, new http.ServerResponse(request));
    socket.end("HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n");
  };
  // Two events that would otherwise end the connection unseen.
  server.on("checkContinue", see);
  server.on("checkExpectation", see);
  server.on("connect", late);
}
server.on("sessionError", () => {});
server.listen(Number(port), "0.0.0.0", 512);
