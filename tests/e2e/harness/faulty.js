// A receiver that answers, breaks off and keeps silent by turns, always after it has read the whole request, and what
// it has counted of that, at `/` of the server that the harness starts.
//
// A request that dies without a byte of an answer on a connection that has carried another before is no attempt: it
// comes once more, at once, on a fresh connection, whatever becomes of it there.
const TURNS = [
  200, 200, 204, 503, 200, 'reset', 200, 201, 429, 200, 'close', 200, 500, 200, 202, 'cut', 200, 404, 204, 200, 200,
  'late', 200, 503, 200, 'reset', 201, 200, 'nonsense', 200, 410, 200, 'close', 204, 200, 200, 429, 'silence', 200,
  202, 200,
];
const counts = {
  requests: 0, resends: 0, resendsOnUsed: 0, accepted: 0, ended: 0, statuses: {}, faults: {}, broken: {},
};
const add = (what, name) => { what[name] = (what[name] || 0) + 1; };
// The ids of those that must come once more.
const again = new Set();
let turn = 0;

const answer = status => `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`;

// What becomes of a request, the how manieth on its connection; whether the connection goes on.
const serve = (socket, head, nth) => {
  const id = /^webhook-id: (.*)$/im.exec(head)[1];
  const isResend = again.delete(id);
  counts.requests += 1;
  if (isResend && nth > 1) counts.resendsOnUsed += 1;
  const what = TURNS[turn++ % TURNS.length];
  if (typeof what === 'number') {
    add(counts.statuses, what);
    socket.write(answer(what));
    return true;
  }
  add(counts.faults, what);
  if (what === 'reset' || what === 'close') {
    if (nth > 1 && !isResend) {
      counts.resends += 1;
      again.add(id);
      add(counts.broken, 'stale');
    } else {
      add(counts.statuses, 'error');
      add(counts.broken, 'reset');
    }
    if (what === 'reset') socket.resetAndDestroy(); else socket.end();
    return false;
  }
  if (what === 'late' || what === 'silence') {
    add(counts.statuses, 'timeout');
    add(counts.broken, 'timeout');
    if (what === 'late') setTimeout(() => socket.write(answer(200)), LATE_MS);
    return false;
  }
  add(counts.statuses, 'error');
  add(counts.broken, what === 'cut' ? 'reset' : 'protocol');
  socket.end(what === 'cut' ? 'HTTP/1.1 2' : 'nonsense\r\n\r\n');
  return false;
};

const receiver = net.createServer(socket => {
  counts.accepted += 1;
  let text = '';
  let nth = 0;
  let goesOn = true;
  // Who writes to a connection that conduit has given up may be told so.
  socket.on('error', () => {});
  socket.on('close', () => { counts.ended += 1; });
  socket.on('data', data => {
    if (!goesOn) return;
    text += data.toString('latin1');
    while (goesOn) {
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end);
      const whole = end + 4 + Number(/^content-length: (\d+)/im.exec(head)[1]);
      if (text.length < whole) return;
      text = text.slice(whole);
      nth += 1;
      goesOn = serve(socket, head, nth);
    }
  });
});
receiver.listen(0, '127.0.0.1');
const server = http.createServer((_, response) => {
  response.end(JSON.stringify({ port: receiver.address().port, ...counts }));
});
