//! Settings that change while origins wait for their turn to take them.

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Instant, Now, Wall};
use crate::engine::Engine;
use crate::engine::event::{Cause, CauseKind, Input, Output, SockId};
use crate::engine::policy::{AllowNet, Endpoint, Policy, TlsProfile, Trust};
use crate::engine::revision::REVISED_A_CALL;
use crate::wire::job::Source;
use crate::wire::job_line::JobLine;
use crate::wire::names::Names;
use crate::wire::report::Outcome;
use crate::wire::signature::{Secret, Secrets};

/// More origins than new settings take effect at in one call.
const ORIGINS: usize = 2 * REVISED_A_CALL + 1;

/// The last of them.
const LAST: usize = ORIGINS;

/// An engine and whoever does what it asks for.
struct Shell {
    engine: Engine,
    outputs: Vec<Output>,
    ids: u32,
    /// Connections that are kept, the first origin's first.
    kept: Vec<SockId>,
}

impl Shell {
    /// With a kept connection to each of the origins.
    fn start(policy: Policy) -> Shell {
        let names = Arc::new(Names::parse(b"127.0.1.1 two\n127.0.1.2 two\n", b""));
        let engine = Engine::new(now(), Arc::new(policy), names, [1; 32]);
        let mut shell = Shell {
            engine,
            outputs: Vec::new(),
            ids: 0,
            kept: Vec::new(),
        };
        for number in 1..=ORIGINS {
            let sock = shell.request(number);
            shell.answer(sock);
            shell.kept.push(sock);
        }
        shell
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(now(), input);
        self.engine.check_invariants();
        self.outputs.clear();
        self.outputs
            .extend(std::iter::from_fn(|| self.engine.poll_output()));
    }

    /// Does what is due at once.
    fn pass(&mut self) {
        self.engine.handle_timeout(now());
        self.engine.check_invariants();
        self.outputs.clear();
        self.outputs
            .extend(std::iter::from_fn(|| self.engine.poll_output()));
    }

    fn job(&mut self, number: usize) {
        self.ids += 1;
        let line = format!(r#"{{"id":"{}","url":"{}/"}}"#, self.ids, origin(number));
        self.submit(&line);
    }

    fn submit(&mut self, line: &str) {
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let id = line.id.as_deref().expect("an id").into();
        let origin = Arc::new(line.url.to_origin());
        let job = line.into_job(id, Source::default(), origin, now());
        self.input(Input::Job(job));
    }

    /// A job goes out on a new connection; on which.
    fn request(&mut self, number: usize) -> SockId {
        self.job(number);
        let sock = self.dialed().expect("a dial");
        self.input(Input::Connected { sock });
        let resumed = false;
        self.input(Input::Secured { sock, resumed });
        assert_eq!(self.sent_on(), Some(sock));
        sock
    }

    fn answer(&mut self, sock: SockId) {
        let bytes = self.engine.transmit(sock).concat().len();
        self.input(Input::Sent { sock, bytes });
        self.input(Input::Received {
            sock,
            bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            end: false,
            more: false,
        });
        let mut outputs = self.outputs.iter();
        assert!(outputs.any(|output| matches!(output, Output::Done { .. })));
    }

    /// Which connection was begun.
    fn dialed(&self) -> Option<SockId> {
        self.outputs.iter().find_map(|output| match output {
            Output::Connect { sock, .. } => Some(*sock),
            _ => None,
        })
    }

    /// Which connection a request went out on.
    fn sent_on(&self) -> Option<SockId> {
        self.outputs.iter().find_map(|output| match output {
            Output::Transmit { sock, .. } => Some(*sock),
            _ => None,
        })
    }

    /// As whom TLS begins.
    fn secured_as(&self) -> Option<TlsProfile> {
        self.outputs.iter().find_map(|output| match output {
            Output::Secure { profile, .. } => Some(*profile),
            _ => None,
        })
    }

    /// How a job ended.
    fn ended(&self) -> Option<Outcome> {
        self.outputs.iter().find_map(|output| match output {
            Output::Done { ending, .. } => Some(ending.outcome),
            _ => None,
        })
    }

    fn has_closed(&self, wanted: SockId) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.any(|output| matches!(output, Output::Close { sock } if *sock == wanted))
    }
}

fn now() -> Now {
    Now {
        mono: Instant::default() + Duration::from_secs(1),
        wall: Wall::from_unix_seconds(1_700_000_000),
    }
}

fn origin(number: usize) -> String {
    format!("https://127.0.0.{number}:8443")
}

/// With `--allow-http`, and trust in these.
fn trusting(trust: Trust) -> Policy {
    Policy {
        allow_http: true,
        trust,
        ..policy(Endpoint::default())
    }
}

fn policy(endpoint: Endpoint) -> Policy {
    Policy {
        allow_net: vec![AllowNet::parse("127.0.0.0/8").expect("a range")],
        endpoint: Arc::new(endpoint),
        ..Policy::default()
    }
}

fn signing() -> Policy {
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
    policy(Endpoint {
        secrets: Secrets::new(vec![secret]).expect("one"),
        ..Endpoint::default()
    })
}

fn showing(tls_profile: TlsProfile) -> Policy {
    policy(Endpoint {
        tls_profile,
        ..Endpoint::default()
    })
}

#[test]
fn a_dial_shows_the_new_certificate_though_its_origins_turn_has_not_come() {
    let mut shell = Shell::start(showing(1));
    let old = shell.kept[LAST - 1];
    shell.input(Input::Policy(Arc::new(showing(2))));
    assert!(!shell.has_closed(old), "its turn has not come");
    shell.job(LAST);
    assert!(shell.has_closed(old), "it was secured as another");
    let sock = shell.dialed().expect("a dial");
    shell.input(Input::Connected { sock });
    assert_eq!(shell.secured_as(), Some(2));
}

#[test]
fn a_dial_that_was_begun_before_shows_the_new_certificate_too() {
    let mut shell = Shell::start(showing(1));
    let old = shell.kept[LAST - 1];
    shell.job(LAST);
    assert_eq!(shell.sent_on(), Some(old));
    shell.job(LAST);
    let sock = shell.dialed().expect("a dial");
    shell.input(Input::Policy(Arc::new(showing(2))));
    shell.input(Input::Connected { sock });
    assert_eq!(shell.secured_as(), Some(2));
    assert!(!shell.has_closed(old), "a request is under way on it");
    shell.answer(old);
    assert!(shell.has_closed(old), "and no other follows");
}

#[test]
fn a_handshake_that_is_under_way_is_done_over_with_the_new_certificate() {
    let mut shell = Shell::start(showing(1));
    let old = shell.kept[LAST - 1];
    shell.job(LAST);
    shell.job(LAST);
    let sock = shell.dialed().expect("a dial");
    shell.input(Input::Connected { sock });
    assert_eq!(shell.secured_as(), Some(1));
    shell.input(Input::Policy(Arc::new(showing(2))));
    let resumed = false;
    shell.input(Input::Secured { sock, resumed });
    assert!(shell.has_closed(sock) && shell.sent_on().is_none());
    let again = shell.dialed().expect("another dial for the same job");
    shell.input(Input::Connected { sock: again });
    assert_eq!(shell.secured_as(), Some(2));
    shell.input(Input::Secured {
        sock: again,
        resumed,
    });
    assert_eq!(shell.sent_on(), Some(again));
    shell.answer(again);
    shell.answer(old);
    assert_eq!(shell.engine.jobs(), 0);
}

#[test]
fn another_address_is_secured_by_the_new_certificate_once() {
    let mut shell = Shell::start(showing(1));
    shell.submit(r#"{"id":"a","url":"https://two:8443/"}"#);
    let first = shell.dialed().expect("a dial");
    shell.input(Input::Connected { sock: first });
    assert_eq!(shell.secured_as(), Some(1));
    shell.input(Input::Policy(Arc::new(showing(2))));
    while shell.engine.poll_timeout() == Some(Instant::default()) {
        shell.pass();
    }
    let cause = Cause {
        kind: CauseKind::Tls,
        message: "no".into(),
    };
    shell.input(Input::ConnectFailed { sock: first, cause });
    let second = shell.dialed().expect("the other address");
    shell.input(Input::Connected { sock: second });
    assert_eq!(shell.secured_as(), Some(2));
    let (sock, resumed) = (second, false);
    shell.input(Input::Secured { sock, resumed });
    assert_eq!(shell.sent_on(), Some(second));
}

#[test]
fn of_too_many_connections_in_all_those_go_that_were_idle_for_longest_whoever_has_work() {
    let mut shell = Shell::start(policy(Endpoint::default()));
    let kept = shell.kept[LAST - 1];
    let fewer = Policy {
        max_connections_total: 1,
        ..policy(Endpoint::default())
    };
    // As if those who have been idle for longer were too many for one call.
    shell.engine.policy = Arc::new(fewer);
    shell.engine.revision += 1;
    shell.engine.revised = Some(0);
    shell.job(LAST);
    assert_eq!(shell.sent_on(), Some(kept));
}

#[test]
fn connections_that_others_vouched_for_carry_no_further_request() {
    let mut shell = Shell::start(trusting(1));
    let (idle, busy) = (shell.kept[0], shell.kept[1]);
    shell.job(2);
    assert_eq!(shell.sent_on(), Some(busy));
    shell.submit(r#"{"id":"plain","url":"http://127.0.0.1:8080/"}"#);
    let plain = shell.dialed().expect("a dial");
    shell.input(Input::Connected { sock: plain });
    shell.answer(plain);
    shell.input(Input::Policy(Arc::new(trusting(1))));
    while shell.engine.poll_timeout() == Some(Instant::default()) {
        assert!(!shell.has_closed(idle), "the same are trusted");
        shell.pass();
    }
    shell.input(Input::Policy(Arc::new(trusting(2))));
    assert!(shell.has_closed(idle));
    while shell.engine.poll_timeout() == Some(Instant::default()) {
        assert!(!shell.has_closed(busy), "a request is under way on it");
        assert!(!shell.has_closed(plain), "nobody vouched for it");
        shell.pass();
    }
    shell.answer(busy);
    assert!(shell.has_closed(busy));
    shell.submit(r#"{"id":"again","url":"http://127.0.0.1:8080/"}"#);
    assert_eq!(shell.sent_on(), Some(plain));
}

#[test]
fn what_can_not_be_signed_does_not_go_out_again_though_its_origins_turn_has_not_come() {
    let dotted = format!(r#"{{"id":"a.b","url":"{}/"}}"#, origin(LAST));
    for is_sent in [false, true] {
        let mut shell = Shell::start(policy(Endpoint::default()));
        let sock = shell.kept[LAST - 1];
        shell.submit(&dotted);
        assert_eq!(shell.sent_on(), Some(sock));
        if is_sent {
            let bytes = shell.engine.transmit(sock).concat().len();
            shell.input(Input::Sent { sock, bytes });
        }
        shell.input(Input::Policy(Arc::new(signing())));
        assert!(!shell.has_closed(sock), "a request is under way on it");
        shell.input(Input::Received {
            sock,
            bytes: b"",
            end: true,
            more: false,
        });
        // What has gone out may have arrived: that is a failed attempt, and its retry is not made.
        let ended = (!is_sent).then_some(Outcome::Rejected);
        assert_eq!((shell.ended(), shell.dialed()), (ended, None));
    }
    // A dial for it is under way.
    let mut shell = Shell::start(policy(Endpoint::default()));
    shell.job(LAST);
    shell.submit(&dotted);
    let sock = shell.dialed().expect("a dial");
    shell.input(Input::Policy(Arc::new(signing())));
    shell.input(Input::Connected { sock });
    assert_eq!(shell.ended(), Some(Outcome::Rejected));
    let resumed = false;
    shell.input(Input::Secured { sock, resumed });
    assert_eq!(shell.sent_on(), None, "nobody is there any more");
}

#[test]
fn f144_other_settings_of_one_origin_take_effect_there_at_once_and_nowhere_else() {
    let mut shell = Shell::start(showing(1));
    let (own, other) = (shell.kept[LAST - 1], shell.kept[LAST - 2]);
    let origin = shell.engine.origins.iter().map(|(_, origin)| &origin.name);
    let origin = Arc::clone(origin.last().expect("the last one"));
    let endpoint = Endpoint {
        tls_profile: 2,
        ..Endpoint::default()
    };
    shell.input(Input::Own {
        origin: Arc::clone(&origin),
        endpoint: Arc::new(endpoint),
    });
    assert!(shell.has_closed(own) && !shell.has_closed(other));
    assert_eq!(shell.engine.endpoint_of(&origin).tls_profile, 2);
    assert!(shell.engine.revised.is_none(), "no other is looked at");
    // Settings for all have those of single ones in them.
    shell.input(Input::Policy(Arc::new(showing(1))));
    assert_eq!(shell.engine.endpoint_of(&origin).tls_profile, 1);
}
