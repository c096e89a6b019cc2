//! A job line: one JSON object of the feed, checked field by field.
//!
//! A [`JobLine`] borrows from its line wherever the line has no escapes; [`JobLine::into_job`] makes the one
//! copy of the body. All of the line is read whatever is wrong with it, so that a result can name the job by
//! its `id` even if the mistake stands before it; the first mistake is the one that is told, except that a
//! line that isn't JSON is told to be that.
//!
//! Not here: which lines are read when, ids for jobs without one (`intake`), the rules of URLs and header
//! fields (`url`, `request`), the words of the mistakes (`job_error`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Now;
use crate::wire::base64::Base64;
use crate::wire::job::{Job, Message, Method, Priority, Progress, Source};
use crate::wire::job_error::{BadLine, JobError, NAMES};
use crate::wire::json::{self, Kind, Member, Members};
use crate::wire::request::{check_field, signature_field_len};
use crate::wire::signature::{Secret, Secrets};
use crate::wire::url::{Origin, Url};

/// Bytes of an `id`.
pub const ID_BYTES_MAX: usize = 256;

/// Fields in `headers`: as many as are read of a response's head.
pub const HEADER_FIELDS_MAX: usize = 256;

/// Seconds of a `timeout`.
pub const TIMEOUT_SECONDS_MAX: f64 = 3600.0;

/// Seconds of a `ttl`: 30 days.
pub const TTL_SECONDS_MAX: f64 = 30.0 * 86400.0;

/// One checked line.
#[derive(Debug)]
pub struct JobLine<'a> {
    /// Where to.
    pub url: Url<'a>,
    /// Its name, if it brings one.
    pub id: Option<Cow<'a, str>>,
    /// What to send.
    pub body: Body<'a>,
    /// `type`: the value of `X-Webhook-Type`.
    pub kind: Option<Cow<'a, str>>,
    /// The request method.
    pub method: Method,
    /// Extra header fields.
    pub headers: Headers,
    /// What signs its requests, if it brings secrets.
    pub secrets: Secrets,
    /// The limit of one attempt.
    pub timeout: Option<Duration>,
    /// How long after acceptance it is worth delivering.
    pub ttl: Option<Duration>,
    /// Its class in the origin's queue.
    pub priority: Priority,
    /// What its endpoint adds to the head of a request, in bytes: not the line's to say, so 0 until somebody knows.
    pub endpoint_head_bytes: usize,
}

/// What to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    #[default]
    None,
    /// `payload`: JSON, byte for byte as it stood in the line.
    Payload(&'a str),
    /// `body`: text.
    Text(Cow<'a, str>),
    /// `bodyBase64`.
    Base64(Base64<'a>),
}

/// Extra header fields, as they are sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Name: value\r\n`, one after the other.
    pub fields: Vec<u8>,
    /// One of them is `User-Agent`.
    pub has_user_agent: bool,
    /// One of them is `Content-Type`.
    pub has_content_type: bool,
}

/// The fields of a job line; the number is the field's bit in [`Draft::seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Url,
    Id,
    Payload,
    Body,
    BodyBase64,
    Type,
    Method,
    Headers,
    Timeout,
    Priority,
    Ttl,
    Secret,
    Dead,
}

/// A line of which not all is read yet.
#[derive(Debug, Default)]
struct Draft<'a> {
    seen: u16,
    url: Option<Url<'a>>,
    id: Option<Cow<'a, str>>,
    body: Body<'a>,
    kind: Option<Cow<'a, str>>,
    method: Method,
    headers: Headers,
    secrets: Secrets,
    timeout: Option<Duration>,
    ttl: Option<Duration>,
    priority: Priority,
}

impl<'a> JobLine<'a> {
    /// Reads one line, without its line end.
    pub fn parse(line: &'a [u8]) -> Result<JobLine<'a>, BadLine> {
        let (text, mut wrong) = match std::str::from_utf8(line) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.valid_up_to();
                let text = std::str::from_utf8(&line[..valid]).expect("so far it is valid");
                (text, Some(JobError::Utf8 { column: valid + 1 }))
            }
        };
        let is_utf8 = wrong.is_none();
        let mut draft = Draft::default();
        let mut members = Members::new(text);
        loop {
            match members.next_member() {
                Ok(Some(member)) => {
                    if let Err(error) = draft.take(member) {
                        wrong.get_or_insert(error);
                    }
                }
                Ok(None) => break,
                Err(error) if is_utf8 => {
                    wrong = Some(JobError::Json(error));
                    break;
                }
                Err(_) => break,
            }
        }
        match wrong {
            None => draft.finish(),
            Some(error) => Err(draft.fail(error)),
        }
    }

    /// The job that the line asks for. Its message has room for the head of every attempt.
    #[must_use]
    pub fn into_job(
        self,
        id: Box<str>,
        source: Source,
        origin: Arc<Origin>,
        accepted: Now,
    ) -> Box<Job> {
        let kind: Option<Box<str>> = self.kind.map(|kind| kind.into_owned().into_boxed_str());
        let variable = self.url.target.len()
            + origin.text.len()
            + id.len()
            + kind.as_deref().map_or(0, str::len)
            + self.headers.fields.len()
            + signature_field_len(self.secrets.signature_len())
            + self.endpoint_head_bytes;
        let message = self.body.to_message(head_room(variable));
        let content_type = match self.body {
            _ if message.body().is_empty() || self.headers.has_content_type => None,
            Body::Payload(_) => Some("application/json"),
            Body::None | Body::Text(_) | Body::Base64(_) => Some("application/octet-stream"),
        };
        Box::new(Job {
            id,
            source,
            origin,
            target: self.url.target.into_owned().into_boxed_str(),
            method: self.method,
            kind,
            headers: self.headers.fields.into_boxed_slice(),
            content_type,
            has_user_agent: self.headers.has_user_agent,
            secrets: self.secrets,
            timeout: self.timeout,
            ttl: self.ttl,
            priority: self.priority,
            accepted,
            message,
            age: Duration::ZERO,
            spooled: None,
            progress: Progress::default(),
        })
    }
}

/// The room for a head with `variable` bytes of target, authority, id, type, extra fields and the signature, its
/// name included.
///
/// The rest of a head is at most 264 bytes long: the names, the numbers at 20 digits, our `User-Agent`, `Accept`
/// and the longer of our two media types. Rounded up, so that buffers come in fewer sizes.
const fn head_room(variable: usize) -> usize {
    (272 + variable).next_multiple_of(64)
}

impl Body<'_> {
    fn to_message(&self, room: usize) -> Message {
        match self {
            Body::None => Message::new(b"", room),
            Body::Payload(json) => Message::new(json.as_bytes(), room),
            Body::Text(text) => Message::new(text.as_bytes(), room),
            Body::Base64(base64) => {
                let mut bytes = Message::buffer(room, base64.decoded_len());
                base64.decode_to(&mut bytes);
                Message::from_buffer(bytes, room)
            }
        }
    }

    const fn field(&self) -> Option<Field> {
        match self {
            Body::None => None,
            Body::Payload(_) => Some(Field::Payload),
            Body::Text(_) => Some(Field::Body),
            Body::Base64(_) => Some(Field::BodyBase64),
        }
    }
}

impl Headers {
    /// Reads the object `raw`, as a job's or an endpoint's `headers` have it.
    ///
    /// # Errors
    /// What is wrong with it; no value of a field is shown.
    pub fn parse(raw: &str) -> Result<Headers, JobError> {
        if Kind::of(raw) != Kind::Object {
            return Err(JobError::kind(
                Field::Headers.name(),
                "an object of strings",
                raw,
            ));
        }
        let mut headers = Headers::default();
        let mut names: Vec<Cow<'_, str>> = Vec::new();
        let mut members = Members::new(raw);
        while let Some(member) = members.next_member().map_err(JobError::Json)? {
            let name = json::unescape(member.key)
                .map_err(|_| JobError::surrogate(&format!("headers.{}", member.key)))?;
            if names.len() == HEADER_FIELDS_MAX {
                return Err(JobError::expected(
                    Field::Headers.name(),
                    "at most 256 fields",
                    "more",
                ));
            }
            if names.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                return Err(JobError::repeated_header(&name));
            }
            headers.add(&name, member.value)?;
            names.push(name);
        }
        Ok(headers)
    }

    fn add(&mut self, name: &str, raw: &str) -> Result<(), JobError> {
        let place = || format!("headers.{name}");
        if Kind::of(raw) != Kind::String {
            return Err(JobError::kind(&place(), "a string", raw));
        }
        let value = json::unescape(raw).map_err(|_| JobError::surrogate(&place()))?;
        check_field(name, &value).map_err(|error| JobError::field(&place(), error))?;
        self.has_user_agent |= name.eq_ignore_ascii_case("user-agent");
        self.has_content_type |= name.eq_ignore_ascii_case("content-type");
        self.fields.reserve(name.len() + value.len() + 4);
        for part in [name, ": ", &value, "\r\n"] {
            self.fields.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }
}

impl fmt::Debug for Headers {
    /// Values of headers are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.fields.len())
    }
}

impl Field {
    fn named(key: &str) -> Option<Field> {
        Some(match key {
            "url" => Field::Url,
            "id" => Field::Id,
            "payload" => Field::Payload,
            "body" => Field::Body,
            "bodyBase64" => Field::BodyBase64,
            "type" => Field::Type,
            "method" => Field::Method,
            "headers" => Field::Headers,
            "timeout" => Field::Timeout,
            "priority" => Field::Priority,
            "ttl" => Field::Ttl,
            "secret" => Field::Secret,
            "dead" => Field::Dead,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

impl<'a> Draft<'a> {
    /// Takes one member in, or says what is wrong with it.
    fn take(&mut self, member: Member<'a>) -> Result<(), JobError> {
        let Ok(key) = json::unescape(member.key) else {
            return Err(JobError::unknown(member.key));
        };
        let Some(field) = Field::named(&key) else {
            return Err(JobError::unknown(&key));
        };
        let bit = 1 << field as u16;
        if self.seen & bit != 0 {
            return Err(JobError::Repeated {
                field: field.name(),
            });
        }
        self.seen |= bit;
        let raw = member.value;
        match field {
            Field::Url => self.url = Some(url(raw)?),
            Field::Id => self.id = Some(id(raw)?),
            Field::Payload => self.set_body(Body::Payload(raw))?,
            Field::Body => self.set_body(Body::Text(private_string(field, raw)?))?,
            Field::BodyBase64 => {
                let base64 =
                    Base64::parse(private_string(field, raw)?).map_err(JobError::Base64)?;
                self.set_body(Body::Base64(base64))?;
            }
            Field::Type => {
                let kind = string(field, raw, "a string")?;
                check_field(field.name(), &kind)
                    .map_err(|error| JobError::field(field.name(), error))?;
                self.kind = Some(kind);
            }
            Field::Method => self.method = method(raw)?,
            Field::Headers => self.headers = Headers::parse(raw)?,
            Field::Timeout => {
                let expected = "a number of seconds, more than 0 and at most 3600";
                self.timeout = Some(seconds(field, raw, TIMEOUT_SECONDS_MAX, expected)?);
            }
            Field::Ttl => {
                let expected = "a number of seconds, more than 0 and at most 2592000 (30 days)";
                self.ttl = Some(seconds(field, raw, TTL_SECONDS_MAX, expected)?);
            }
            Field::Priority => self.priority = priority(raw)?,
            Field::Secret => self.secrets = secrets(raw)?,
            Field::Dead if Kind::of(raw) != Kind::Object => {
                return Err(JobError::kind(field.name(), "an object", raw));
            }
            Field::Dead => {}
        }
        Ok(())
    }

    fn set_body(&mut self, body: Body<'a>) -> Result<(), JobError> {
        if let (Some(first), Some(second)) = (self.body.field(), body.field()) {
            return Err(JobError::Bodies {
                first: first.name(),
                second: second.name(),
            });
        }
        self.body = body;
        Ok(())
    }

    /// All is read and every field is right by itself.
    fn finish(mut self) -> Result<JobLine<'a>, BadLine> {
        let Some(url) = self.url.take() else {
            return Err(self.fail(JobError::Missing {
                field: Field::Url.name(),
            }));
        };
        if let (Some(field), false) = (self.body.field(), self.method.takes_body()) {
            return Err(self.fail(JobError::BodyWithGet {
                field: field.name(),
            }));
        }
        let is_dotted = self.id.as_ref().is_some_and(|id| id.contains('.'));
        if is_dotted && !self.secrets.is_empty() {
            return Err(self.fail(JobError::DottedId));
        }
        Ok(JobLine {
            url,
            id: self.id,
            body: self.body,
            kind: self.kind,
            method: self.method,
            headers: self.headers,
            secrets: self.secrets,
            timeout: self.timeout,
            ttl: self.ttl,
            priority: self.priority,
            endpoint_head_bytes: 0,
        })
    }

    fn fail(self, error: JobError) -> BadLine {
        BadLine {
            id: self.id.map(|id| id.into_owned().into_boxed_str()),
            error,
        }
    }
}

fn string<'a>(
    field: Field,
    raw: &'a str,
    expected: &'static str,
) -> Result<Cow<'a, str>, JobError> {
    if Kind::of(raw) != Kind::String {
        return Err(JobError::expected(field.name(), expected, raw));
    }
    json::unescape(raw).map_err(|_| JobError::surrogate(field.name()))
}

/// A string of which an error shows nothing.
fn private_string(field: Field, raw: &str) -> Result<Cow<'_, str>, JobError> {
    if Kind::of(raw) != Kind::String {
        return Err(JobError::kind(field.name(), "a string", raw));
    }
    json::unescape(raw).map_err(|_| JobError::surrogate(field.name()))
}

fn url(raw: &str) -> Result<Url<'_>, JobError> {
    match private_string(Field::Url, raw)? {
        Cow::Borrowed(text) => Url::parse(text).map_err(JobError::Url),
        // An escape in it (`\/` is common): the decoded text lives nowhere but in the result.
        Cow::Owned(text) => {
            let url = Url::parse(&text).map_err(JobError::Url)?;
            Ok(Url {
                scheme: url.scheme,
                host: Cow::Owned(url.host.into_owned()),
                port: url.port,
                target: Cow::Owned(url.target.into_owned()),
            })
        }
    }
}

fn id(raw: &str) -> Result<Cow<'_, str>, JobError> {
    let expected = "a string of 1 to 256 visible ASCII characters";
    let id = string(Field::Id, raw, expected)?;
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(JobError::expected(Field::Id.name(), expected, raw));
    }
    Ok(id)
}

fn method(raw: &str) -> Result<Method, JobError> {
    let expected = "\"POST\", \"PUT\", \"PATCH\", \"DELETE\" or \"GET\"";
    let name = string(Field::Method, raw, expected)?;
    Method::parse(&name).ok_or_else(|| JobError::expected(Field::Method.name(), expected, raw))
}

fn seconds(
    field: Field,
    raw: &str,
    max: f64,
    expected: &'static str,
) -> Result<Duration, JobError> {
    // Every JSON number is one that Rust reads; what no f64 can hold becomes infinite or zero.
    let number = (Kind::of(raw) == Kind::Number).then(|| raw.parse::<f64>());
    match number {
        // Not below the clock's resolution: a limit that is set is never none.
        Some(Ok(number)) if number > 0.0 && number <= max => {
            Ok(Duration::from_secs_f64(number).max(Duration::from_nanos(1)))
        }
        _ => Err(JobError::expected(field.name(), expected, raw)),
    }
}

fn priority(raw: &str) -> Result<Priority, JobError> {
    let expected = "\"high\", \"normal\" or \"low\"";
    match &*string(Field::Priority, raw, expected)? {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(JobError::expected(Field::Priority.name(), expected, raw)),
    }
}

/// Reads a secret or a list of them. Nothing of them may show in an error.
fn secrets(raw: &str) -> Result<Secrets, JobError> {
    let field = Field::Secret.name();
    let expected = "a string or an array of strings";
    let wrong = |place: &str| {
        let place: Box<str> = place.into();
        move |error| JobError::Secret { place, error }
    };
    match Kind::of(raw) {
        Kind::String => {
            let secret = Secret::parse(&private_string(Field::Secret, raw)?);
            let secret = secret.map_err(wrong(field))?;
            Secrets::new(vec![secret]).map_err(wrong(field))
        }
        Kind::Array => {
            let texts: Result<Vec<Cow<'_, str>>, _> = serde_json::from_str(raw);
            let texts = texts
                .map_err(|_| JobError::expected(field, expected, "an array of something else"))?;
            let parsed = texts.iter().enumerate().map(|(index, text)| {
                Secret::parse(text).map_err(wrong(&format!("{field}[{index}]")))
            });
            let secrets = parsed.collect::<Result<Vec<Secret>, JobError>>()?;
            Secrets::new(secrets).map_err(wrong(field))
        }
        Kind::Object | Kind::Number | Kind::Boolean | Kind::Null => {
            Err(JobError::kind(field, expected, raw))
        }
    }
}

#[cfg(test)]
mod tests;
