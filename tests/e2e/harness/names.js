// A name server on port 53 of 127.0.0.1 that answers as RULE says, a function of the asked name, `A` or `AAAA`, and the
// milliseconds since a question for this name first came. It gives nothing for silence, or `{addrs, ttl, rcode, minimum,
// after, aliases, loop}`: `after` so many milliseconds, over so many aliases or in a circle, an absence with an SOA record
// of this `minimum`.
const dgram = require('dgram');
const rule = (name, type, since) => { RULE };
const first = new Map();

function nameOf(query) {
  const labels = [];
  let at = 12;
  while (query[at] !== 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  return { name: labels.join('.').toLowerCase(), end: at + 5, kind: query.readUInt16BE(at + 1) };
}

function encode(name) {
  const labels = name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function bytesOf(addr) {
  if (!addr.includes(':')) return Buffer.from(addr.split('.').map(Number));
  const [head, tail = ''] = addr.split('::').map(part => part ? part.split(':') : []).map(part => part);
  const words = [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail];
  return Buffer.concat(words.map(word => { const b = Buffer.alloc(2); b.writeUInt16BE(parseInt(word, 16)); return b; }));
}

function record(owner, kind, ttl, data) {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(kind, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

function answerTo(query, asked, said) {
  const { addrs = [], ttl = 60, rcode = 0, minimum, aliases = 0, loop = false } = said;
  const asking = encode(asked.name);
  const alias = n => n === 0 ? asking : encode(`alias${n}.${asked.name.split('.').slice(-1)}`);
  const answers = [];
  for (let n = 0; n < aliases; n += 1) answers.push(record(alias(n), 5, ttl, alias(loop ? (n + 1) % aliases : n + 1)));
  const owner = alias(aliases);
  if (!loop) for (const addr of addrs) answers.push(record(owner, asked.kind, ttl, bytesOf(addr)));
  const soa = Buffer.alloc(22);
  if (minimum !== undefined) soa.writeUInt32BE(minimum, 18);
  const authority = minimum === undefined ? [] : [record(Buffer.from([0]), 6, 3600, soa)];
  const head = Buffer.from(query.subarray(0, asked.end));
  head[2] = 0x81;
  head[3] = 0x80 | rcode;
  head.writeUInt16BE(answers.length, 6);
  head.writeUInt16BE(authority.length, 8);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, ...answers, ...authority]);
}

const socket = dgram.createSocket('udp4');
socket.on('message', (query, from) => {
  const asked = nameOf(query);
  if (!first.has(asked.name)) first.set(asked.name, Date.now());
  const said = rule(asked.name, asked.kind === 28 ? 'AAAA' : 'A', Date.now() - first.get(asked.name));
  if (!said) return;
  const reply = () => socket.send(answerTo(query, asked, said), from.port, from.address);
  if (said.after) setTimeout(reply, said.after); else reply();
});
socket.bind({ port: 53, address: '127.0.0.1' }, () => { socket.setRecvBufferSize(4 << 20); });
