//! Several users at the socket: real ones, so that only root can play these stories.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::feed::plain;
use crate::harness::gate::Gate;
use crate::harness::socket::Daemon;
use crate::harness::{Process, TempDir, is_installed, is_root, wait_for};

/// A user who owns nothing here.
const NOBODY: &str = "65534";

/// Connects so many times, sends the same text each time, and prints what comes, the last connection's first; a minute long at most.
const CLIENT: &str = r#"
    my ($path, $count, $text) = @ARGV;
    ($|, $SIG{PIPE}) = (1, 'IGNORE');
    alarm 60;
    my @all = map {
        my $one = IO::Socket::UNIX->new(Peer => $path) or die "$!";
        $one->autoflush(1);
        print $one $text;
        $one
    } 1..$count;
    for my $one (reverse @all) { print while <$one> }
"#;

/// What another user's connections are told, line after line.
struct Nobody {
    lines: BufReader<std::process::ChildStdout>,
    _process: Process,
}

impl Nobody {
    fn connect(daemon: &Daemon, count: u32, text: &str) -> Nobody {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .args(["perl", "-MIO::Socket::UNIX", "-e", CLIENT])
            .arg(daemon.path())
            .args([&count.to_string(), text])
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let stdout = process.child().stdout.take().expect("it is piped");
        Nobody {
            lines: BufReader::new(stdout),
            _process: process,
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output is read");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

fn can_be_others() -> bool {
    is_root() && is_installed("setpriv", "util-linux") && is_installed("perl", "perl-base")
}

#[test]
fn f117_one_user_with_half_a_line_on_each_connection_keeps_nobody_out() {
    if !can_be_others() {
        return;
    }
    let daemon = Daemon::start(&["--allow-uid", NOBODY]);
    let mut nobody = Nobody::connect(&daemon, 700, "{\"url\":");
    let told = nobody.line();
    assert_eq!(told["error"]["kind"], "limit", "{told}");
    let message = told["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("user 65534 has") && message.contains("half"),
        "{message}"
    );
    // Root asks how it is, as often as it likes.
    for _ in 0..20 {
        let status = daemon.connect().ask("{\"ctl\":\"status\"}");
        assert!(status["data"]["clients"].as_u64() > Some(100), "{status}");
        let drain = daemon.connect().ask("{\"ctl\":\"drain\",\"cancel\":true}");
        assert_eq!(drain["ok"], true, "{drain}");
    }
    drop(nobody);
    daemon.stop();
}

#[test]
fn f118_another_users_id_is_another_job_and_nothing_of_the_first_is_told() {
    if !can_be_others() {
        return;
    }
    let (gate, dir) = (Gate::start(), TempDir::new());
    let spool = dir.join("spool");
    let spool = spool.to_str().expect("a plain name");
    let daemon = Daemon::start(&["--allow-uid", NOBODY, "--spool", spool]);
    let mut own = daemon.connect();
    own.send(plain("order-2", &format!("{}own", gate.url())));
    assert_eq!(own.next(), "order-2 1 accepted");
    gate.wait_for_requests(1);
    let text = plain("order-2", &format!("{}other", gate.url()));
    let mut nobody = Nobody::connect(&daemon, 1, &text);
    assert_eq!(nobody.line()["outcome"], "accepted");
    gate.wait_for_requests(2);
    own.send(plain("order-2", &format!("{}own", gate.url())));
    let again = own.line().expect("an answer");
    assert_eq!(
        (&again["outcome"], &again["known"]),
        (&"duplicate".into(), &"pending".into())
    );
    gate.open();
    assert_eq!(nobody.line()["outcome"], "delivered");
    let mut results = own.take(2);
    results.sort();
    assert_eq!(results, ["order-2 1 delivered", "order-2 2 delivered"]);
    wait_for("no third request", || (gate.requests() == 2).then_some(()));
    daemon.stop();
}
