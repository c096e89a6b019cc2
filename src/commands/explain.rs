//! `conduit explain`: what would happen to each job of a feed, without anything being sent or looked up.
//!
//! The head is the one that an attempt made now would have. Values of the job's and the endpoint's headers, secrets
//! and the URL's query are shown as `***`: what explains a job may be pasted anywhere.
//!
//! Not here: which settings there are and who said what (`config`), the rules (`engine/guard`).

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use conduit::base::lines::{Line, LineBuffer};
use conduit::base::time::Now;
use conduit::engine::guard;
use conduit::engine::heading::{self, Heading};
use conduit::engine::policy::{Endpoint, Policy};
use conduit::wire::job::{Job, Source};
use conduit::wire::job_error::JobError;
use conduit::wire::job_line::JobLine;
use conduit::wire::url::{Host, Origin};
use serde_json::{Map, Value, json};

use crate::commands::columns::columns;
use crate::commands::{complain, exit, jobs};
use crate::config::load::Loaded;
use crate::config::table::{Default, ENDPOINT_SETTINGS, SETTINGS, Setting};
use crate::io::{clock, own, stdio};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The id of a job that brings none.
const NO_ID: &str = "(generated)";

/// What would become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// The address decides, and it is not known here.
    Depends,
    Blocked,
    Invalid,
}

/// What is said of one line.
#[derive(Debug)]
struct Explained {
    line: u64,
    id: Option<String>,
    origin: Option<String>,
    verdict: Verdict,
    reason: String,
    /// The head of a request that would go out now.
    request: Option<String>,
    /// Name, value, and where it comes from.
    settings: Vec<[String; 3]>,
}

/// Explains every line.
pub fn execute(loaded: &Loaded, file: Option<&Path>, json: bool) -> ExitCode {
    let source = match jobs(file) {
        Ok(source) => source,
        Err(reason) => {
            complain(&reason);
            return exit::usage();
        }
    };
    let explainer = Explainer {
        loaded,
        policy: loaded.settings.policy(u32::MAX),
        now: clock::now(),
    };
    match explainer.explain_all(source, json) {
        Ok(true) => exit::DONE,
        Ok(false) => exit::NOT_ALL,
        Err(what) => {
            complain(&what);
            exit::unable()
        }
    }
}

struct Explainer<'a> {
    loaded: &'a Loaded,
    policy: Policy,
    now: Now,
}

impl Explainer<'_> {
    /// Whether no job would be refused.
    fn explain_all(&self, mut source: impl Read, json: bool) -> Result<bool, String> {
        let mut lines = LineBuffer::new(self.loaded.settings.max_job_bytes as usize);
        let stdout = stdio::output();
        let mut stdout =
            stdout.map_err(|error| format!("can't write to standard output: {error}"))?;
        let (mut number, mut all_good) = (0, true);
        let mut take = |line: Line<'_>| -> Result<(), String> {
            number += 1;
            if let Some(explained) = self.explain(number, line) {
                all_good &= matches!(explained.verdict, Verdict::Allowed | Verdict::Depends);
                let text = match json {
                    true => format!("{}\n", explained.to_json()),
                    false => explained.to_text(),
                };
                let written = stdout.write_all(text.as_bytes());
                written.map_err(|error| format!("can't write to standard output: {error}"))?;
            }
            Ok(())
        };
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = match source.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| format!("can't read job lines: {error}"))?,
            };
            if read == 0 {
                break;
            }
            chunk.truncate(read);
            lines.feed(chunk);
            while let Some(line) = lines.next_line() {
                take(line)?;
            }
        }
        if let Some(line) = lines.finish() {
            take(line)?;
        }
        let flushed = stdout.flush();
        flushed.map_err(|error| format!("can't write to standard output: {error}"))?;
        Ok(all_good)
    }

    /// What is said of a line; nothing of a blank one.
    fn explain(&self, number: u64, line: Line<'_>) -> Option<Explained> {
        let invalid = |id: Option<&str>, reason: String| Explained {
            line: number,
            id: id.map(str::to_owned),
            origin: None,
            verdict: Verdict::Invalid,
            reason,
            request: None,
            settings: Vec::new(),
        };
        let line = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return None,
            Line::Whole(line) => line,
            Line::TooLong { bytes } => {
                let max = self.loaded.settings.max_job_bytes;
                let reason =
                    format!("line: expected at most {max} bytes (maxJobBytes), found {bytes}");
                return Some(invalid(None, reason));
            }
        };
        let parsed = match JobLine::parse(line) {
            Ok(parsed) => parsed,
            Err(bad) => return Some(invalid(bad.id.as_deref(), bad.error.to_string())),
        };
        let origin = Arc::new(parsed.url.to_origin());
        let endpoint = Arc::clone(self.policy.endpoint_of(&origin));
        let id: Box<str> = parsed.id.as_deref().unwrap_or(NO_ID).into();
        let is_signed = !(parsed.secrets.is_empty() && endpoint.secrets.is_empty());
        if is_signed && id.contains('.') {
            return Some(invalid(Some(&id), JobError::DottedId.to_string()));
        }
        let mut job = parsed.into_job(id, Source::default(), Arc::clone(&origin), self.now);
        let (verdict, reason) = self.judge(&origin);
        Some(Explained {
            line: number,
            id: Some(job.id.to_string()),
            origin: Some(origin.text.to_string()),
            verdict,
            reason,
            request: Some(request(self.now, &mut job, &endpoint)),
            settings: self.settings(&job, &origin),
        })
    }

    /// What the guard says, as far as it can be asked.
    fn judge(&self, origin: &Origin) -> (Verdict, String) {
        if let Err(rule) = guard::check_scheme(&self.policy, origin.scheme) {
            return (Verdict::Blocked, rule.to_string());
        }
        let ips: Vec<IpAddr> = match &origin.host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) if &**name == "localhost" || name.ends_with(".localhost") => {
                vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
            }
            Host::Name(name) => return self.judge_name(name, origin.port),
        };
        let mut reason = String::new();
        for ip in ips {
            match guard::check(&self.policy, SocketAddr::new(ip, origin.port)) {
                Ok(addr) if self.is_own_listener(addr) => {
                    reason = guard::Rule::OwnListener { addr }.to_string();
                }
                Ok(addr) => return (Verdict::Allowed, format!("{addr} is allowed")),
                Err(rule) => reason = rule.to_string(),
            }
        }
        (Verdict::Blocked, reason)
    }

    /// Whether it is where a run with these settings listens itself; not, where this machine can't say.
    fn is_own_listener(&self, addr: SocketAddr) -> bool {
        let listens_at = self.loaded.settings.listen.address();
        own::is_own_listener(listens_at.map(|at| at.port()), addr).unwrap_or(false)
    }

    fn judge_name(&self, name: &str, port: u16) -> (Verdict, String) {
        let (nets, whose) = match guard::is_port_open(&self.policy, port) {
            true => ("globally routable or in an --allow-net entry", ""),
            false
                if self
                    .policy
                    .allow_net
                    .iter()
                    .any(|net| net.port == Some(port)) =>
            {
                (
                    "in an --allow-net entry with this port",
                    ", for the port is forbidden elsewhere",
                )
            }
            false => {
                let reason = format!(
                    "port {port} is forbidden at every address; --allow-port {port} or an --allow-net entry with this \
                     port would allow it"
                );
                return (Verdict::Blocked, reason);
            }
        };
        let reason = format!(
            "{name} is not looked up here: each address that it has is judged when it is connected to, and must be \
             {nets}{whose}"
        );
        (Verdict::Depends, reason)
    }

    /// The settings that hold for the job, and who says so.
    fn settings(&self, job: &Job, origin: &Origin) -> Vec<[String; 3]> {
        let all = SETTINGS.iter().filter(|setting| setting.is_per_endpoint());
        let all = all.chain(ENDPOINT_SETTINGS);
        all.filter_map(|setting| self.setting(setting, job, origin))
            .collect()
    }

    fn setting(&self, setting: &Setting, job: &Job, origin: &Origin) -> Option<[String; 3]> {
        let name = setting.name.to_owned();
        let seconds = |limit: std::time::Duration| limit.as_secs_f64().to_string();
        let of_job = match setting.name {
            "timeout" => job.timeout.map(seconds),
            "ttl" => job.ttl.map(seconds),
            "secret" if !job.secrets.is_empty() => Some("***".to_owned()),
            "secretFile" if !job.secrets.is_empty() => return None,
            _ => None,
        };
        if let Some(value) = of_job {
            return Some([name, value, "job".to_owned()]);
        }
        let values = &self.loaded.values;
        let entries = values.endpoints.matching(origin);
        if let Some((key, given)) = values.holding(setting, entries) {
            let source = match key {
                Some(key) => format!("{} ({key})", given.source),
                None => given.source.to_string(),
            };
            return Some([name, given.shown(), source]);
        }
        let value = match setting.default {
            Default::Value(text) => text.to_owned(),
            Default::Machine(_) if setting.name == "ttl" => {
                seconds(self.policy.endpoint_of(origin).ttl)
            }
            Default::Machine(words) => words.to_owned(),
            Default::Nothing => return None,
        };
        Some([name, value, "built in".to_owned()])
    }
}

/// The head of a request that would go out now, as it may be shown.
fn request(now: Now, job: &mut Job, endpoint: &Endpoint) -> String {
    let head = match heading::write(now, job, endpoint) {
        Heading::InMessage { start } => {
            let whole = job.message.from(start);
            whole[..whole.len() - job.message.body().len()].to_vec()
        }
        Heading::Apart(head) => head,
    };
    let head = String::from_utf8_lossy(&head);
    let mut shown = String::with_capacity(head.len());
    for (number, line) in head.trim_end().split("\r\n").enumerate() {
        let line = match line.split_once(": ") {
            _ if number == 0 => without_query(line),
            Some((name, _)) if !is_shown(name) => format!("{name}: ***"),
            _ => line.to_owned(),
        };
        shown.push_str(&line);
        shown.push('\n');
    }
    shown
}

/// `POST /path?*** HTTP/1.1`
fn without_query(line: &str) -> String {
    match (line.split_once('?'), line.rsplit_once(' ')) {
        (Some((before, _)), Some((_, version))) => format!("{before}?*** {version}"),
        _ => line.to_owned(),
    }
}

/// Whether a field's value may be shown: what conduit writes itself, and what says only who speaks and how.
fn is_shown(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = ["host", "user-agent", "content-type", "content-length"];
    own.contains(&&*name) || name.starts_with("webhook-") || name.starts_with("x-webhook-")
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Verdict::Allowed => "allowed",
            Verdict::Depends => "dependsOnAddress",
            Verdict::Blocked => "blocked",
            Verdict::Invalid => "invalid",
        }
    }
}

impl Explained {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("line".to_owned(), json!(self.line));
        let texts = [("id", &self.id), ("origin", &self.origin)];
        for (key, text) in texts {
            if let Some(text) = text {
                out.insert(key.to_owned(), json!(text));
            }
        }
        out.insert("verdict".to_owned(), json!(self.verdict.name()));
        out.insert("reason".to_owned(), json!(self.reason));
        if let Some(request) = &self.request {
            out.insert("request".to_owned(), json!(request));
            let settings = self.settings.iter().map(|[name, value, source]| {
                (name.clone(), json!({"value": value, "source": source}))
            });
            out.insert("settings".to_owned(), Value::Object(settings.collect()));
        }
        Value::Object(out)
    }

    fn to_text(&self) -> String {
        let mut out = format!("line {}", self.line);
        for text in [&self.id, &self.origin].into_iter().flatten() {
            out.push(' ');
            crate::io::log::escape(text, &mut out);
        }
        writeln!(out, "\n  {}: {}", self.verdict.name(), self.reason)
            .expect("a String takes what is written");
        if let Some(request) = &self.request {
            for line in request.lines() {
                out.push_str("  | ");
                crate::io::log::escape(line, &mut out);
                out.push('\n');
            }
        }
        for row in columns(&self.settings, &[], 0).lines() {
            out.push_str("  ");
            out.push_str(row);
            out.push('\n');
        }
        out.push('\n');
        out
    }
}
