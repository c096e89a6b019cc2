// Receivers that nobody gets a request to, and what each has counted, at `/` of the server that the harness starts.
const tls = require('tls'), dgram = require('dgram'), fs = require('fs');
const counts = {};
const ports = {};
const servers = {};

// One that counts the connections it takes, and those of them that have ended.
const add = (name, server, extra) => {
  counts[name] = { accepted: 0, ended: 0, ...extra };
  server.on('connection', socket => {
    counts[name].accepted += 1;
    socket.on('error', () => {});
    socket.on('close', () => { counts[name].ended += 1; });
  });
  server.listen(0, '127.0.0.1');
  servers[name] = server;
};

// Its certificate is nobody's but its own.
const untrusted = tls.createServer({ cert: fs.readFileSync('CERT'), key: fs.readFileSync('KEY') });
add('untrusted', untrusted, { failed: 0, secured: 0 });
untrusted.on('tlsClientError', () => { counts.untrusted.failed += 1; });
untrusted.on('secureConnection', () => { counts.untrusted.secured += 1; });

// Breaks off, by a reset or an end in turn, once the client has said hello.
add('cut', net.createServer(socket => {
  socket.once('data', data => {
    counts.cut.hellos += data[0] === 22 ? 1 : 0;
    if (counts.cut.hellos % 2) socket.resetAndDestroy(); else socket.end();
  });
}), { hellos: 0 });

// Closes what it has just accepted, unread.
add('slammed', net.createServer({ pauseOnConnect: true }, socket => socket.destroy()));

// The same by a reset.
add('reset', net.createServer({ pauseOnConnect: true }, socket => socket.resetAndDestroy()));

// Answers each request, and closes behind every third answer: at once, or by turns when another request must have come,
// which nobody reads.
add('brief', net.createServer(socket => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  let text = '';
  let nth = 0;
  socket.on('data', data => {
    text += data.toString('latin1');
    for (;;) {
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end);
      const whole = end + 4 + Number(/^content-length: (\d+)/im.exec(head)[1]);
      if (text.length < whole) return;
      text = text.slice(whole);
      counts.brief.requests += 1;
      nth += 1;
      if (nth === 3) {
        socket.pause();
        counts.brief.closed += 1;
        const wait = counts.brief.closed % 2 ? 0 : 10;
        socket.write(answer, () => setTimeout(() => socket.destroy(), wait));
        return;
      }
      socket.write(answer);
    }
  });
}), { requests: 0, closed: 0 });

// A name server. Of names under `gone` it says that they don't exist, and for how long (RFC 2308 section 3); it fails
// for those under `broken`, and at the first look-up of those under `shaky`; it keeps silent about those under
// `silent`. All others are at 127.0.0.1, without an IPv6 address.
const queries = { gone: 0, broken: 0, shaky: 0, silent: 0 };
const asked = {};
const names = dgram.createSocket('udp4');
names.on('message', (message, peer) => {
  const labels = [];
  let at = 12;
  for (; message[at]; at += message[at] + 1) labels.push(message.toString('latin1', at + 1, at + 1 + message[at]));
  const [, kind] = labels;
  const isV4 = message.readUInt16BE(at + 1) === 1;
  const question = message.subarray(12, at + 5);
  queries[kind] += 1;
  if (kind === 'silent') return;
  const key = `${labels[0]} ${kind} ${isV4}`;
  asked[key] = (asked[key] || 0) + 1;
  const fails = kind === 'broken' || (kind === 'shaky' && asked[key] === 1);
  const code = kind === 'gone' ? 3 : fails ? 2 : 0;
  const isFound = code === 0 && isV4;
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180 + code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(isFound ? 1 : 0, 6);
  header.writeUInt16BE(isFound || fails ? 0 : 1, 8);
  // The name as in the question, A, IN, a minute, four bytes.
  const address = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
  // example., SOA, IN, a minute, 22 bytes: the root twice, and five numbers, of which the last is a minute.
  const soa = Buffer.concat([
    Buffer.from('\x07example\0'), Buffer.from([0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0]),
    Buffer.from([0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60]),
  ]);
  const record = isFound ? address : fails ? Buffer.alloc(0) : soa;
  names.send(Buffer.concat([header, question, record]), peer.port, peer.address);
});
names.bind(53, '127.0.0.1');

const server = http.createServer((_, response) => {
  for (const name in servers) ports[name] = servers[name].address().port;
  response.end(JSON.stringify({ ports, queries, ...counts }));
});
