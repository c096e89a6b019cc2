//! Golden traces: what goes into the engine and what comes out, as text. They are the tutorial of the engine.
//!
//! A trace (`tests/golden/*.trace`) has inputs at the margin and, indented below each, the outputs that it
//! caused. Here every trace is played again and must come out as it stands. With `CONDUIT_GOLDEN=write` the
//! files are written anew: read the diff before you commit it.
//!
//! ```text
//! policy NAME=VALUE …      endpoint settings in seconds or counts, from now on
//! endpoint KEY NAME=VALUE …    the same for one origin or pattern, on top of what holds in general at that time
//! headers {…}              the endpoint's header fields; secrets SECRET …: and its secrets
//! hosts LINE               one more line of /etc/hosts; resolv LINE: of /etc/resolv.conf
//! job {…}                  a job line, with its id
//! spooled KEY {…}          the same, and the spool has it under this key
//! recovered KEY AGE ATTEMPTS DUE STATUS {…}    the same, as a start finds it: so old, so often tried, due when
//! back ID                  a job that was postponed comes in again
//! connected|secured SOCK   failed|closed SOCK KIND MESSAGE   write-failed SOCK
//! sent SOCK [BYTES]        all that there was to send, or so many bytes
//! received SOCK "…"        end SOCK "…"    (with the usual escapes)
//! show SOCK                prints the bytes to send
//! breaker ORIGIN           prints what the origin's breaker is
//! ask                      how all origins stand, and how long jobs waited for a connection, all together
//! reset|isolate ORIGIN     what somebody wants of it
//! late SECONDS             as `at`, but the driver slept through everything until then
//! reply SOCK TTL ADDRESS … | cut | SERVFAIL | NXDOMAIN   a name server's answer, over UDP or TCP
//! at SECONDS               the clock moves there; each timer on the way fires at its time
//! drain | abort
//! ```

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::time::{Instant, Now, Wall};
use conduit::engine::Engine;
use conduit::engine::breaker::BreakerState;
use conduit::engine::event::{
    Appetite, BreakerOrder, Cause, CauseKind, Input, Next, Note, Output, SockId,
};
use conduit::engine::policy::{AllowNet, Endpoint, OnCircuitOpen, Policy, Rate};
use conduit::wire::endpoint_row::{EndpointRow, Rows};
use conduit::wire::endpoints::Endpoints;
use conduit::wire::job::{Job, Source};
use conduit::wire::job_line::{Headers, JobLine};
use conduit::wire::names::Names;
use conduit::wire::report::{ErrorKind, Failure};
use conduit::wire::signature::{Secret, Secrets};
use conduit::wire::spool::JobKey;
use conduit::wire::url::Url;

/// 2026-01-01T00:00:00Z: where the civil clock of a trace starts.
const EPOCH_SECONDS: u64 = 1_767_225_600;

#[test]
fn every_trace_comes_out_as_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("tests/golden is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "trace")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no trace in {}", folder.display());
    let write = std::env::var_os("CONDUIT_GOLDEN").is_some_and(|value| value == "write");
    let mut wrong = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a trace is text");
        let played = Player::play(&text);
        if write {
            std::fs::write(&path, &played).expect("the trace can be written");
        } else if let Some(at) = first_difference(&text, &played) {
            let _ = writeln!(wrong, "{}:{at}", path.display());
        }
    }
    assert!(wrong.is_empty(), "traces that come out otherwise:\n{wrong}");
}

#[test]
fn a_trace_that_differs_is_seen() {
    let text = "job {\"id\":\"a\",\"url\":\"http://127.0.0.1:8080/\"}\n    done a delivered 200\n";
    let played = Player::play(text);
    assert!(first_difference(text, &played).is_some(), "{played}");
}

fn first_difference(text: &str, played: &str) -> Option<String> {
    let lines = text.lines().map(Some).chain(std::iter::repeat(None));
    let played = played.lines().map(Some).chain(std::iter::repeat(None));
    for (number, (stands, comes)) in lines.zip(played).enumerate() {
        if stands == comes {
            stands?;
            continue;
        }
        let (stands, comes) = (stands.unwrap_or("(end)"), comes.unwrap_or("(end)"));
        return Some(format!(
            "{}\n    stands: {stands}\n    comes:  {comes}",
            number + 1
        ));
    }
    None
}

/// Plays a trace: the engine, the clock, and the names of its sockets in order of appearance.
struct Player {
    engine: Option<Engine>,
    policy: Policy,
    endpoints: Vec<(String, Arc<Endpoint>)>,
    hosts: String,
    resolv_conf: String,
    mono: Instant,
    socks: Vec<SockId>,
    /// What was asked of name servers, over UDP.
    datagrams: Vec<(SockId, Vec<u8>)>,
    /// … and over TCP, each message behind its length.
    streams: Vec<(SockId, Vec<u8>)>,
    line: u64,
    postponed: Vec<Job>,
    out: String,
}

impl Player {
    fn play(text: &str) -> String {
        let mut policy = Policy {
            allow_http: true,
            ..Policy::default()
        };
        policy.allow_net.push(AllowNet {
            net: [127, 0, 0, 0].into(),
            prefix: 8,
            port: None,
        });
        let mut player = Player {
            engine: None,
            policy,
            endpoints: Vec::new(),
            hosts: String::new(),
            resolv_conf: String::new(),
            mono: Instant::from_nanos(0),
            socks: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
            line: 0,
            postponed: Vec::new(),
            out: String::new(),
        };
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let _ = writeln!(player.out, "{line}");
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            if !line.is_empty() && verb != "#" {
                player.perform(verb, rest);
            }
        }
        player.out
    }

    fn now(&self) -> Now {
        let wall = Wall::from_unix_nanos(EPOCH_SECONDS * 1_000_000_000 + self.mono.as_nanos());
        Now {
            mono: self.mono,
            wall,
        }
    }

    fn engine(&mut self) -> &mut Engine {
        let (now, policy) = (self.now(), Arc::new(self.policy.clone()));
        let names = self.names();
        self.engine
            .get_or_insert_with(|| Engine::new(now, policy, names, [7; 32]))
    }

    /// What the files say; without a line of it, resolv.conf names one server.
    fn names(&self) -> Arc<Names> {
        let resolv_conf = match &*self.resolv_conf {
            "" => "nameserver 192.0.2.53\n",
            lines => lines,
        };
        Arc::new(Names::parse(self.hosts.as_bytes(), resolv_conf.as_bytes()))
    }

    fn tell_names(&mut self) {
        if self.engine.is_some() {
            let names = self.names();
            self.input(Input::Names(names));
        }
    }

    fn perform(&mut self, verb: &str, rest: &str) {
        match verb {
            "policy" => {
                rest.split(' ').for_each(|word| self.set(word));
                self.tell_policy();
            }
            "endpoint" => {
                let (key, words) = rest.split_once(' ').expect("a key and settings");
                let mut endpoint = Endpoint::clone(&self.policy.endpoint);
                words.split(' ').for_each(|word| set(&mut endpoint, word));
                self.endpoints.retain(|(known, _)| known != key);
                self.endpoints.push((key.to_owned(), endpoint.into()));
                let mut endpoints = Endpoints::default();
                for (key, endpoint) in &self.endpoints {
                    endpoints.insert(key, Arc::clone(endpoint)).expect("a key");
                }
                self.policy.endpoints = Arc::new(endpoints);
                self.tell_policy();
            }
            "headers" => {
                let headers = Headers::parse(rest).expect("an object of strings");
                Arc::make_mut(&mut self.policy.endpoint).headers = Arc::new(headers);
                self.tell_policy();
            }
            "secrets" => {
                let secrets = rest.split(' ').map(Secret::parse);
                let secrets = secrets.collect::<Result<_, _>>().expect("secrets");
                let secrets = Secrets::new(secrets).expect("a few");
                Arc::make_mut(&mut self.policy.endpoint).secrets = secrets;
                self.tell_policy();
            }
            "hosts" => {
                self.hosts += &format!("{rest}\n");
                self.tell_names();
            }
            "resolv" => {
                self.resolv_conf += &format!("{rest}\n");
                self.tell_names();
            }
            "breaker" => self.show_breaker(rest),
            "reset" => self.order(rest, BreakerOrder::Reset),
            "isolate" => self.order(rest, BreakerOrder::Isolate),
            "late" => self.come_late(rest.parse().expect("seconds")),
            "at" => self.advance(rest.parse().expect("seconds")),
            "job" => {
                let job = self.job(rest);
                self.input(Input::Job(job));
            }
            "spooled" => {
                let (key, line) = rest.split_once(' ').expect("a key and a job");
                let mut job = self.job(line);
                job.spooled = Some(JobKey(key.parse().expect("a key")));
                self.input(Input::Job(job));
            }
            "recovered" => self.recover(rest),
            "back" => {
                let at = self.postponed.iter().position(|job| *job.id == *rest);
                let job = self.postponed.remove(at.expect("it was postponed"));
                self.input(Input::Job(Box::new(job)));
            }
            "ask" => self.input(Input::Ask { from: 0 }),
            "drain" => self.input(Input::Drain),
            "abort" => self.input(Input::Abort),
            _ => self.on_socket(verb, rest),
        }
    }

    fn on_socket(&mut self, verb: &str, rest: &str) {
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let index: usize = name
            .strip_prefix('s')
            .and_then(|n| n.parse().ok())
            .expect("a socket");
        let Some(sock) = self.socks.get(index).copied() else {
            panic!("no {name} yet:\n{}", self.out)
        };
        match verb {
            "connected" => self.input(Input::Connected { sock }),
            "secured" => self.input(Input::Secured {
                sock,
                resumed: false,
            }),
            "failed" => self.input(Input::ConnectFailed {
                sock,
                cause: cause(rest),
            }),
            "closed" => self.input(Input::Closed {
                sock,
                cause: cause(rest),
            }),
            "write-failed" => self.input(Input::WriteFailed {
                sock,
                cause: cause(rest),
            }),
            "received" => self.input(Input::Received {
                sock,
                bytes: &unescape(rest),
                end: false,
                more: false,
            }),
            "end" => self.input(Input::Received {
                sock,
                bytes: &unescape(rest),
                end: true,
                more: false,
            }),
            "answer" => self.input(Input::Answer {
                sock,
                message: &unescape(rest),
            }),
            "reply" => self.reply(sock, rest),
            "sent" => {
                let shown = self.engine().transmit(sock).concat();
                let bytes = if rest.is_empty() {
                    shown.len()
                } else {
                    rest.parse().expect("bytes")
                };
                if let Some((_, stream)) = self.streams.iter_mut().find(|(of, _)| *of == sock) {
                    stream.extend_from_slice(&shown[..bytes]);
                }
                self.input(Input::Sent { sock, bytes });
            }
            "show" => {
                let bytes = self.engine().transmit(sock).concat();
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    let _ = writeln!(self.out, "    | {}", line.escape_ascii());
                }
            }
            _ => panic!("{verb:?} is no verb of a trace"),
        }
    }

    /// Answers the question that was sent over this socket; over TCP behind the length, in two pieces.
    fn reply(&mut self, sock: SockId, what: &str) {
        if let Some((_, query)) = self.datagrams.iter().find(|(of, _)| *of == sock) {
            let message = answer(query, what);
            return self.input(Input::Answer {
                sock,
                message: &message,
            });
        }
        let (_, stream) = self
            .streams
            .iter()
            .find(|(of, _)| *of == sock)
            .expect("a query");
        let message = answer(&stream[2..], what);
        let length = (message.len() as u16).to_be_bytes();
        let pieces = [length.as_slice(), &message].concat();
        for bytes in [&pieces[..1], &pieces[1..]] {
            let end = false;
            self.input(Input::Received {
                sock,
                bytes,
                end,
                more: false,
            });
        }
    }

    fn tell_policy(&mut self) {
        if self.engine.is_some() {
            let policy = Arc::new(self.policy.clone());
            self.input(Input::Policy(policy));
        }
    }

    fn set(&mut self, word: &str) {
        let (name, value) = word.split_once('=').expect("NAME=VALUE");
        let number: f64 = value.parse().expect("a number");
        match name {
            "maxConnectionsTotal" => self.policy.max_connections_total = number as u32,
            "maxOrigins" => self.policy.max_origins = number as u32,
            "allowHttp" => self.policy.allow_http = number != 0.0,
            "allowLoopback" if number == 0.0 => self.policy.allow_net.clear(),
            "allowV6Loopback" if number != 0.0 => {
                let exact = AllowNet::parse("::1/128").expect("an address");
                self.policy.allow_net.push(exact);
            }
            _ => set(Arc::make_mut(&mut self.policy.endpoint), word),
        }
    }

    fn job(&mut self, line: &str) -> Box<Job> {
        let parsed = JobLine::parse(line.as_bytes()).expect("a trace's jobs are right");
        let id = parsed
            .id
            .as_deref()
            .expect("a trace's jobs have ids")
            .into();
        let origin = Arc::new(parsed.url.to_origin());
        self.line += 1;
        let source = Source {
            line: self.line,
            ..Source::default()
        };
        parsed.into_job(id, source, origin, self.now())
    }

    /// A job as the spool tells of it.
    fn recover(&mut self, rest: &str) {
        let (words, line) = rest.split_at(rest.find('{').expect("a job"));
        let words: Vec<f64> = words
            .split_whitespace()
            .map(|word| word.parse().expect("a number"))
            .collect();
        let [key, age, attempts, due, status] = words[..] else {
            panic!("KEY AGE ATTEMPTS DUE STATUS, not {words:?}");
        };
        let mut job = self.job(line);
        job.spooled = Some(JobKey(key as u64));
        job.age = Duration::from_secs_f64(age);
        job.progress.attempts = attempts as u32;
        job.progress.due = Instant::from_nanos((due * 1e9) as u64);
        job.progress.status = status as u16;
        let failure = Failure {
            kind: ErrorKind::Http,
            message: "what the spool tells".into(),
            excerpt: None,
        };
        job.progress.failure = (attempts > 0.0).then(|| Box::new(failure));
        self.input(Input::Job(job));
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.engine().handle_input(now, input);
        self.drain_outputs("");
    }

    fn advance(&mut self, seconds: f64) {
        let target = Instant::from_nanos((seconds * 1e9) as u64);
        assert!(target >= self.mono, "a trace's clock does not go back");
        loop {
            let due = self.engine().poll_timeout().filter(|due| *due <= target);
            self.mono = due.unwrap_or(target).max(self.mono);
            let now = self.now();
            self.engine().handle_timeout(now);
            self.drain_outputs(&format!("@{:.3} ", self.mono.as_nanos() as f64 / 1e9));
            if due.is_none() {
                return;
            }
        }
    }

    /// The driver sleeps through everything until then.
    fn come_late(&mut self, seconds: f64) {
        self.mono = Instant::from_nanos((seconds * 1e9) as u64);
        let now = self.now();
        self.engine().handle_timeout(now);
        self.drain_outputs("");
    }

    fn order(&mut self, origin: &str, order: BreakerOrder) {
        let url = Url::parse(origin).expect("an origin");
        let origin = Arc::new(url.to_origin());
        self.input(Input::Breaker { origin, order });
    }

    fn show_breaker(&mut self, origin: &str) {
        let now = self.mono;
        let state = self.engine().breaker_state(now, origin);
        let text = state.map_or("unknown", BreakerState::name);
        let _ = writeln!(self.out, "    | {text}");
    }

    fn drain_outputs(&mut self, prefix: &str) {
        while let Some(output) = self.engine().poll_output() {
            let text = self.render(output);
            let _ = writeln!(self.out, "    {prefix}{text}");
            self.engine().check_invariants();
        }
        self.engine().check_invariants();
    }

    fn name(&mut self, sock: SockId) -> String {
        let known = self.socks.iter().position(|known| *known == sock);
        let index = known.unwrap_or_else(|| {
            self.socks.push(sock);
            self.socks.len() - 1
        });
        format!("s{index}")
    }

    fn render(&mut self, output: Output) -> String {
        match output {
            Output::Connect { sock, addr, .. } => {
                if addr.port() == 53 {
                    self.streams.push((sock, Vec::new()));
                }
                self.socket_output("connect", sock, Some(addr))
            }
            Output::Query { sock, server } => {
                let query = self.engine().transmit(sock).concat();
                self.datagrams.push((sock, query));
                self.socket_output("query", sock, Some(server))
            }
            Output::Close { sock } => self.socket_output("close", sock, None),
            Output::Secure {
                sock,
                origin,
                profile,
            } => {
                let mut text = format!("secure {} {}", self.name(sock), origin.text);
                if profile != 0 {
                    let _ = write!(text, " as {profile}");
                }
                text
            }
            Output::Transmit { sock, look } => {
                let bytes = self.engine().transmit(sock).concat().len();
                let look = if look { " after a look" } else { "" };
                format!("transmit {} {bytes} bytes{look}", self.name(sock))
            }
            Output::Done { job, ending } => {
                let mut text = format!("done {} {}", job.id, ending.outcome.name());
                if job.progress.status > 0 {
                    let _ = write!(text, " {}", job.progress.status);
                }
                let _ = write!(text, " attempts={}", job.progress.attempts);
                if let Some(failure) = ending.failure {
                    let _ = write!(text, " {}: {}", failure.kind.name(), failure.message);
                    if let Some(excerpt) = failure.excerpt {
                        let _ = write!(text, " \"{}\"", excerpt.escape_ascii());
                    }
                }
                text
            }
            Output::Attempted { key, attempt } => {
                let due = attempt.due.unix_nanos() - EPOCH_SECONDS * 1_000_000_000;
                let mut text = format!(
                    "attempted {} attempts={} due={:.3}",
                    key.0,
                    attempt.attempts,
                    due as f64 / 1e9
                );
                if attempt.status > 0 {
                    let _ = write!(text, " {}", attempt.status);
                }
                let _ = write!(text, " {}: {}", attempt.kind.name(), attempt.message);
                text
            }
            Output::Postponed { job } => {
                let due = job.progress.due.as_nanos() as f64 / 1e9;
                let text = format!("postponed {} until {due:.3}", job.id);
                self.postponed.push(*job);
                text
            }
            Output::Origin { origin, held } => {
                let state = if held { "held" } else { "free" };
                format!("origin {state} {}", origin.text)
            }
            Output::OriginRetired { origin, .. } => format!("retired {}", origin.text),
            Output::Rows(rows) => render_rows(&rows),
            Output::Appetite(appetite) => render_appetite(&appetite),
            Output::Note(note) => render_note(&note),
            Output::ConnectionClosed { reason, .. } => format!("note connection closed: {reason}"),
        }
    }

    fn socket_output(&mut self, verb: &str, sock: SockId, addr: Option<SocketAddr>) -> String {
        let addr = addr.map(|addr| format!(" {addr}")).unwrap_or_default();
        format!("{verb} {}{addr}", self.name(sock))
    }
}

/// Sets one setting of an endpoint.
fn set(endpoint: &mut Endpoint, word: &str) {
    let (name, value) = word.split_once('=').expect("NAME=VALUE");
    let number: f64 = value.parse().expect("a number");
    let seconds = Duration::from_secs_f64(number);
    match name {
        "tlsProfile" => endpoint.tls_profile = number as u64,
        "maxConnections" => endpoint.max_connections = number as u32,
        "timeout" => endpoint.timeout = seconds,
        "connectTimeout" => endpoint.connect_timeout = seconds,
        "connectionLifetime" => endpoint.connection_lifetime = seconds,
        "idleTimeout" => endpoint.idle_timeout = seconds,
        "drainTimeout" => endpoint.drain_timeout = seconds,
        "maxDrainBytes" => endpoint.max_drain_bytes = number as u32,
        "maxResponseHeaderBytes" => endpoint.max_response_header_bytes = number as u32,
        "responseBytes" => endpoint.response_bytes = number as u32,
        "resendStale" => endpoint.resend_stale = number != 0.0,
        "retries" => {
            let schedule = endpoint.retry_schedule.iter().copied();
            endpoint.retry_schedule = schedule.take(number as usize).collect();
        }
        "maxRetryAfter" => endpoint.max_retry_after = seconds,
        "maxRetryAfterHold" => endpoint.max_retry_after_hold = seconds,
        "breakerFailures" => endpoint.breaker_failures = number as u32,
        "breakerSeconds" => endpoint.breaker_duration = seconds,
        "failOpen" => endpoint.on_circuit_open = OnCircuitOpen::Fail,
        "ttl" => endpoint.ttl = seconds,
        "rateLimit" => endpoint.rate_limit = (number > 0.0).then(|| Rate::per_second(number)),
        "localTroubleLimit" => endpoint.local_trouble_limit = seconds,
        _ => panic!("{name:?} is no setting of a trace"),
    }
}

fn render_rows(rows: &Rows) -> String {
    let waits = &rows.totals.waits;
    let mut text = format!(
        "waits {} in {:.3} s",
        waits.count(),
        waits.sum().as_secs_f64()
    );
    for EndpointRow { origin, state, .. } in &rows.rows {
        let [high, normal, low] = state.queued;
        let queued = high + normal + low;
        let (pending, attempts) = (state.pending, state.attempts);
        let _ = write!(
            text,
            "; {} queued={queued} pending={pending} attempts={attempts}",
            origin.text
        );
    }
    text
}

fn render_appetite(appetite: &Appetite) -> String {
    let mut text = format!(
        "appetite waiting={} busy={}",
        appetite.waiting, appetite.busy
    );
    if appetite.held > 0 {
        let _ = write!(text, " held={}", appetite.held);
    }
    if appetite.later > 0 {
        let _ = write!(text, " later={}", appetite.later);
    }
    text
}

fn render_note(note: &Note) -> String {
    match note {
        Note::AttemptFailed {
            id,
            attempt,
            kind,
            next,
            ..
        } => {
            let next = match next {
                Next::Retry(wait) => format!("retry in {:.3} s", wait.as_secs_f64()),
                Next::Ended(outcome) => outcome.name().to_owned(),
            };
            format!(
                "note attempt {attempt} of {id} failed: {}, next {next}",
                kind.name()
            )
        }
        Note::Refused { id, rule, .. } => format!("note {id} refused: {rule}"),
        Note::LocalTrouble {
            message, put_off, ..
        } => format!("note local trouble, {put_off} put off: {message}"),
        Note::StoodStill { late } => format!("note stood still: {:.3} s", late.as_secs_f64()),
        Note::Breaker { origin, open_for } => match open_for {
            Some(time) => format!(
                "note breaker open for {} s: {}",
                time.as_secs_f64(),
                origin.text
            ),
            None => format!("note breaker closed: {}", origin.text),
        },
        Note::Isolated { origin } => format!("note isolated: {}", origin.text),
        Note::Held { origin, delay } => {
            format!("note held for {} s: {}", delay.as_secs_f64(), origin.text)
        }
    }
}

fn cause(words: &str) -> Cause {
    let (kind, message) = words.split_once(' ').unwrap_or((words, words));
    let kind = match kind {
        "refused" => CauseKind::Refused,
        "unreachable" => CauseKind::Unreachable,
        "no-network" => CauseKind::NoNetwork,
        "reset" => CauseKind::Reset,
        "tls" => CauseKind::Tls,
        "local" => CauseKind::Local,
        "other" => CauseKind::Other,
        _ => panic!("{kind:?} is no kind of cause"),
    };
    Cause {
        kind,
        message: message.into(),
    }
}

/// A name server's answer to a query.
fn answer(query: &[u8], what: &str) -> Vec<u8> {
    let name_bytes = query[12..].iter().position(|byte| *byte == 0);
    let question_end = 12 + name_bytes.expect("a name ends") + 5;
    let (flags, rcode, words) = match what {
        "cut" => (0x83, 0, ""),
        "SERVFAIL" => (0x81, 2, ""),
        "NXDOMAIN" => (0x81, 3, ""),
        words => (0x81, 0, words),
    };
    let mut words = words.split_whitespace();
    let ttl: u32 = words.next().map_or(0, |word| word.parse().expect("a TTL"));
    let mut message = query[..question_end].to_vec();
    message[2..12].copy_from_slice(&[flags, 0x80 | rcode, 0, 1, 0, 0, 0, 0, 0, 0]);
    for word in words {
        let (kind, data) = match word.parse().expect("an address") {
            IpAddr::V4(addr) => (1, addr.octets().to_vec()),
            IpAddr::V6(addr) => (28, addr.octets().to_vec()),
        };
        message[7] += 1;
        message.extend([0xc0, 12, 0, kind, 0, 1]);
        message.extend(ttl.to_be_bytes());
        message.extend([0, data.len() as u8]);
        message.extend(data);
    }
    message
}

/// The bytes of a quoted text with the escapes of Rust's byte strings; nothing for nothing.
fn unescape(text: &str) -> Vec<u8> {
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().expect("an escape") {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = [rest.next().expect("hex"), rest.next().expect("hex")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hex")
            }
            other => other,
        });
    }
    bytes
}
