// Node's own clients: `node client.mjs URL http1|h2`.
import http from 'node:http';
import http2 from 'node:http2';

const [url, version] = process.argv.slice(2);
const body = 'x'.repeat(64 * 1024);

function text(stream) {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text)).on('error', reject);
  });
}

function http1(method, sent) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/hello?a=b`, { method }, async (response) => {
      resolve([response.statusCode, await text(response)]);
    });
    request.on('error', reject).end(sent);
  });
}

async function h2(method, sent) {
  const session = http2.connect(url);
  const stream = session.request({ ':method': method, ':path': '/hello?a=b' });
  const status = new Promise((resolve, reject) => {
    stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject);
    session.on('error', reject);
  });
  // A GET is over with its head: Node has ended the stream already.
  if (!stream.writableEnded) stream.end(sent);
  const answer = [await status, await text(stream)];
  session.close();
  return answer;
}

for (const [method, sent] of [['GET', ''], ['POST', body]]) {
  const [status, answer] = await (version === 'h2' ? h2 : http1)(method, sent);
  const echo = JSON.parse(answer);
  if (status !== 200 || echo.method !== method || echo.path !== '/hello?a=b' || (echo.body ?? '') !== sent) {
    throw new Error(`${method}: status ${status}, ${answer.slice(0, 200)}`);
  }
}
