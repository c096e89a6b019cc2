//! The head of an attempt's request: what the job says, what its endpoint adds, the time, and the signature.
//!
//! Not here: its bytes (`wire/request`), signing (`wire/signature`), when it is sent (`dispatch`).

use crate::base::time::Now;
use crate::engine::policy::Endpoint;
use crate::wire::job::Job;
use crate::wire::request::{Head, USER_AGENT};

/// Where a head stands.
#[derive(Debug)]
pub enum Heading {
    /// In front of the job's body.
    InMessage {
        /// From here in the job's message.
        start: usize,
    },
    /// The room there was too small.
    Apart(Vec<u8>),
}

/// Whether the job's request is either not signed or can be: the content that is signed has dots between its parts, so
/// with one in the id it could be read in two ways.
#[must_use]
pub fn is_writable(job: &Job, endpoint: &Endpoint) -> bool {
    let is_signed = !job.secrets.is_empty() || !endpoint.secrets.is_empty();
    !is_signed || !job.id.contains('.')
}

/// Writes the head of an attempt that begins now.
///
/// # Panics
/// Unless it [is writable](is_writable).
pub fn write(now: Now, job: &mut Job, endpoint: &Endpoint) -> Heading {
    assert!(is_writable(job, endpoint), "it has ended before");
    let timestamp = now.wall.unix_seconds();
    let secrets = if job.secrets.is_empty() {
        &endpoint.secrets
    } else {
        &job.secrets
    };
    let signature = secrets.sign(&job.id, timestamp, &mut job.message);
    let extra = &*endpoint.headers;
    let has_user_agent = job.has_user_agent || extra.has_user_agent;
    let body_bytes = job.message.body().len() as u64;
    let body_bytes = (body_bytes > 0).then_some(body_bytes);
    let head = Head {
        method: job.method,
        target: &job.target,
        authority: job.origin.authority(),
        user_agent: (!has_user_agent).then_some(USER_AGENT),
        content_type: job.content_type.filter(|_| !extra.has_content_type),
        content_length: job.method.content_length(body_bytes),
        id: &job.id,
        timestamp,
        accepted: job.accepted.wall.unix_seconds(),
        kind: job.kind.as_deref(),
        signature: signature.as_deref(),
        fields: &job.headers,
        endpoint_fields: &extra.fields,
    };
    match head.write_before(job.message.room()) {
        Some(start) => Heading::InMessage { start },
        None => {
            let mut apart = Vec::with_capacity(head.len());
            head.write_to(&mut apart);
            Heading::Apart(apart)
        }
    }
}
