//! What a receiver answers, as a script of bytes, pauses, and ends of the connection.
//!
//! Every response names the request that it answers, in a header field and in its body.

use std::time::Duration;

use conduit::base::time::Wall;
use conduit::wire::dates::write_imf_fixdate;

use super::super::dice::Dice;
use super::{Mode, ResetAt};

/// One thing that a receiver does.
#[derive(Debug)]
pub struct Act {
    /// After the one before.
    pub after: Duration,
    pub what: What,
}

/// What travels to the client.
#[derive(Debug)]
pub enum What {
    /// Bytes, which may arrive in pieces.
    Bytes(Vec<u8>),
    /// Bytes which arrive together: a response and what must not be taken for the next.
    Together(Vec<u8>),
    /// Bytes that nobody asked for: a response, unless a request is racing it, whose answer it would seem.
    Unasked(Vec<u8>),
    /// One byte at a time, each after this.
    Drip(Vec<u8>, Duration),
    /// The receiver closes its side.
    Fin,
    /// It resets.
    Reset,
}

/// A response.
#[derive(Debug, Default)]
pub struct Script {
    pub acts: Vec<Act>,
    /// The status, if a valid final head is part of it.
    pub status: Option<u16>,
    /// Bytes to the end of that head.
    pub head_bytes: usize,
    /// The connection does not carry another request.
    pub closes: bool,
}

/// Writes responses of one receiver.
pub struct Answerer<'a> {
    pub dice: &'a mut Dice,
    pub think: Duration,
    pub unix_seconds: u64,
}

impl Answerer<'_> {
    /// What a receiver in this mode answers to a whole request (or, early, to its head).
    pub fn answer(&mut self, mode: Mode, job: u32) -> Script {
        // Each job has its own 2xx; where the framing is the point, none that implies an empty body.
        let success = match 200 + (job % 27) as u16 {
            204 | 205 if !matches!(mode, Mode::Healthy | Mode::StaleClose(_)) => 200,
            status => status,
        };
        match mode {
            Mode::Status(status) => self.plain(status, job, ""),
            Mode::RetryAfter {
                status,
                seconds,
                as_date,
            } => {
                let value = if as_date {
                    let mut date = String::new();
                    let at = self.unix_seconds + u64::from(seconds);
                    write_imf_fixdate(Wall::from_unix_seconds(at), &mut date);
                    date
                } else {
                    seconds.to_string()
                };
                self.plain(status, job, &format!("Retry-After: {value}\r\n"))
            }
            Mode::Early(status) => {
                let mut script = self.plain(status, job, "Connection: close\r\n");
                script.end(self.dice, 30);
                script
            }
            Mode::Slow(millis) => {
                let mut script = self.plain(success, job, "");
                let millis = self.dice.around(u64::from(millis));
                script.acts[0].after = Duration::from_millis(millis);
                script
            }
            Mode::Reset(at) => self.reset(at, success, job),
            Mode::Drip { head, millis } => self.drip(head, millis, success, job),
            Mode::Mute | Mode::NoWindow | Mode::BlackHole => Script::default(),
            Mode::Refuse => {
                // It went down, and what was connected to it before learns so now.
                let mut script = Script::default();
                script.push(Duration::ZERO, What::Reset);
                script.closes = true;
                script
            }
            Mode::Surplus => {
                let mut script = self.plain(success, job, "");
                let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if let What::Bytes(bytes) = &mut script.acts[0].what {
                    bytes.extend_from_slice(surplus);
                    script.acts[0].what = What::Together(std::mem::take(bytes));
                }
                script.closes = true;
                script
            }
            Mode::Misframed(way) => self.misframed(way, success, job),
            Mode::Interim(count) => self.interim(count, success, job),
            Mode::CloseDelimited => {
                let mut script = self.head_and(success, job, "", b"until the end");
                script.end(self.dice, 5);
                script
            }
            Mode::Http10 { keep_alive } => self.http10(keep_alive, success, job),
            Mode::Hint { seconds, max } => {
                let field = format!("Keep-Alive: timeout={seconds}, max={max}\r\n");
                self.plain(success, job, &field)
            }
            Mode::Healthy
            | Mode::Capacity { .. }
            | Mode::StaleClose(_)
            | Mode::Unsolicited
            | Mode::TlsBad
            | Mode::TlsMute
            | Mode::NoSuchName
            | Mode::NoData => self.usual(success, job),
        }
    }

    /// A response with a length or in chunks.
    fn usual(&mut self, status: u16, job: u32) -> Script {
        if matches!(status, 204 | 205) || self.dice.chance(75) {
            return self.plain(status, job, "");
        }
        let body = format!(
            "{:x};x=y\r\n{}\r\n0\r\nTrailer: z\r\n\r\n",
            content(job).len(),
            content(job)
        );
        self.head_and(
            status,
            job,
            "Transfer-Encoding: chunked\r\n",
            body.as_bytes(),
        )
    }

    fn plain(&mut self, status: u16, job: u32, fields: &str) -> Script {
        if status == 204 {
            return self.head_and(status, job, fields, b"");
        }
        if status == 205 {
            return self.head_and(status, job, &format!("{fields}Content-Length: 0\r\n"), b"");
        }
        let content = content(job);
        let fields = format!("{fields}Content-Length: {}\r\n", content.len());
        self.head_and(status, job, &fields, content.as_bytes())
    }

    fn head_and(&mut self, status: u16, job: u32, fields: &str, body: &[u8]) -> Script {
        let mut bytes =
            format!("HTTP/1.1 {status} As It Is\r\nX-Answer-To: j{job}\r\n{fields}\r\n")
                .into_bytes();
        let head_bytes = bytes.len();
        bytes.extend_from_slice(body);
        Script {
            acts: vec![Act {
                after: self.think,
                what: What::Bytes(bytes),
            }],
            status: Some(status),
            head_bytes,
            closes: false,
        }
    }

    fn reset(&mut self, at: ResetAt, status: u16, job: u32) -> Script {
        let mut script = self.plain(status, job, "Content-Type: text/plain\r\n");
        let Act { after, what } = script.acts.remove(0);
        let What::Bytes(mut bytes) = what else {
            unreachable!("a plain response is bytes")
        };
        let keep = match at {
            ResetAt::Once => 0,
            ResetAt::Head => 1 + self.dice.below(script.head_bytes as u64 - 2) as usize,
            ResetAt::Body => script.head_bytes,
        };
        bytes.truncate(keep);
        if keep < script.head_bytes {
            script.status = None;
        }
        if keep > 0 {
            script.push(after, What::Bytes(bytes));
        }
        let end = if self.dice.chance(70) {
            What::Reset
        } else {
            What::Fin
        };
        script.push(after, end);
        script.closes = true;
        script
    }

    fn drip(&mut self, head: bool, millis: u32, status: u16, job: u32) -> Script {
        let mut script = self.plain(status, job, "");
        let each = Duration::from_millis(millis.into());
        let Act { after, what } = script.acts.remove(0);
        let What::Bytes(mut bytes) = what else {
            unreachable!("a plain response is bytes")
        };
        if head {
            script.push(after, What::Drip(bytes, each));
        } else {
            let body = bytes.split_off(script.head_bytes);
            script.push(after, What::Bytes(bytes));
            script.push(each, What::Drip(body, each));
        }
        script
    }

    /// The first ways spoil the head, the others what comes after it.
    fn misframed(&mut self, way: u8, status: u16, job: u32) -> Script {
        const HEADS: [&str; 6] = [
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
            "HEAT/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        ];
        let way = usize::from(way) % (HEADS.len() + 3);
        let mut script = match way.checked_sub(HEADS.len()) {
            None => Script {
                acts: vec![Act {
                    after: self.think,
                    what: What::Bytes(HEADS[way].as_bytes().to_vec()),
                }],
                ..Script::default()
            },
            Some(0) => self.head_and(
                status,
                job,
                "Transfer-Encoding: chunked\r\n",
                b"0x5\r\nhello\r\n0\r\n\r\n",
            ),
            Some(1) => self.head_and(status, job, "Content-Length: 50\r\n", b"short"),
            Some(_) => self.head_and(
                status,
                job,
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                b"0\r\n\r\n",
            ),
        };
        script.end(self.dice, 100);
        script
    }

    fn interim(&mut self, count: u16, status: u16, job: u32) -> Script {
        let mut script = self.plain(status, job, "");
        let each = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
        let mut bytes = each.repeat(usize::from(count));
        if bytes.len() + script.head_bytes > 60 * 1024 {
            script.status = None;
        }
        script.head_bytes += bytes.len();
        if let What::Bytes(last) = &mut script.acts[0].what {
            bytes.append(last);
            *last = bytes;
        }
        script
    }

    fn http10(&mut self, keep_alive: bool, status: u16, job: u32) -> Script {
        let field = if keep_alive {
            "Connection: keep-alive\r\n"
        } else {
            ""
        };
        let mut script = self.plain(status, job, field);
        if let What::Bytes(bytes) = &mut script.acts[0].what {
            bytes[7] = b'0';
        }
        if !keep_alive {
            script.end(self.dice, 5);
        }
        script
    }
}

impl Script {
    fn push(&mut self, after: Duration, what: What) {
        self.acts.push(Act { after, what });
    }

    /// The receiver ends the connection, up to so many milliseconds after its last byte.
    fn end(&mut self, dice: &mut Dice, millis: u64) {
        self.push(Duration::from_millis(dice.below(millis + 1)), What::Fin);
        self.closes = true;
    }
}

fn content(job: u32) -> String {
    format!("answer to j{job}")
}
