//! Signatures of requests as Standard Webhooks 1.0 has them: the secrets, and what `webhook-signature` says.
//!
//! Signed is `id.timestamp.body`. Each secret gives one signature, so that a receiver that knows the old one or the
//! new one finds its own while they are being rotated:
//! - `whsec_` and base64 of 24 to 64 bytes: HMAC-SHA256, `v1,<base64>`;
//! - `whsk_` and base64 of an Ed25519 private key: `v1a,<base64>`. The key is its seed of 32 bytes, as the standard's
//!   own libraries write it, or seed and public key, 64 bytes, as NaCl and what follows it do.
//!
//! Invariant: no error and no `Debug` shows anything of a secret.
//!
//! Not here: when a request is signed (`engine/dispatch`), where the header stands (`request`), which secrets hold for
//! which job (`job_line`, the endpoint's settings).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;

use crate::wire::base64::{self, Base64};
use crate::wire::job::Message;
use crate::wire::text::push_number;

/// Secrets of one job or endpoint: more than any rotation takes.
pub const SECRETS_MAX: usize = 8;

/// Bytes of a symmetric key, at least.
pub const KEY_BYTES_MIN: usize = 24;

/// Bytes of a symmetric key, at most.
pub const KEY_BYTES_MAX: usize = 64;

const SYMMETRIC_PREFIX: &str = "whsec_";
const ASYMMETRIC_PREFIX: &str = "whsk_";
const SEED_BYTES: usize = 32;
const KEY_PAIR_BYTES: usize = 64;
const TAG_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// One secret, ready to sign with.
pub struct Secret {
    /// What its text stands for.
    bytes: Box<[u8]>,
    key: Key,
}

/// An HMAC key is made of the bytes for each signature: that takes 0.2 µs, and the made one takes 1.2 KB for as long
/// as its job waits.
enum Key {
    Symmetric,
    Asymmetric(Box<Ed25519KeyPair>),
}

/// The secrets that sign a job's requests, in the order of the signatures; none: they are not signed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Option<Arc<[Secret]>>);

/// Why a text is no secret. Nothing of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It begins with neither prefix.
    Prefix,
    /// What follows the prefix is not base64.
    Base64(base64::Error),
    /// A symmetric key of so many bytes.
    Symmetric(usize),
    /// An Ed25519 key of so many bytes.
    Asymmetric(usize),
    /// The public key behind the seed is another one's.
    PublicKey,
    /// A list of so many.
    Count(usize),
}

impl Secret {
    /// Reads `whsec_…` or `whsk_…`.
    ///
    /// # Errors
    /// [`SecretError`], which shows nothing of it.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        if let Some(base64) = text.strip_prefix(SYMMETRIC_PREFIX) {
            let bytes = decode(base64)?;
            if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes.len()) {
                return Err(SecretError::Symmetric(bytes.len()));
            }
            let key = Key::Symmetric;
            return Ok(Secret { bytes, key });
        }
        let Some(base64) = text.strip_prefix(ASYMMETRIC_PREFIX) else {
            return Err(SecretError::Prefix);
        };
        let bytes = decode(base64)?;
        let pair = match bytes.len() {
            SEED_BYTES => Ed25519KeyPair::from_seed_unchecked(&bytes),
            KEY_PAIR_BYTES => {
                let (seed, public) = bytes.split_at(SEED_BYTES);
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
            }
            other => return Err(SecretError::Asymmetric(other)),
        };
        let pair = pair.map_err(|_| SecretError::PublicKey)?;
        let key = Key::Asymmetric(Box::new(pair));
        Ok(Secret { bytes, key })
    }

    /// As [`Secret::parse`] reads it: to be found in what must not show it, and nowhere else.
    fn text(&self) -> String {
        let mut text = String::from(self.key.prefix());
        base64::encode_to(&self.bytes, &mut text);
        text
    }

    fn sign(&self, content: &[u8], out: &mut String) {
        match &self.key {
            Key::Symmetric => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
                out.push_str("v1,");
                base64::encode_to(hmac::sign(&key, content).as_ref(), out);
            }
            Key::Asymmetric(pair) => {
                out.push_str("v1a,");
                base64::encode_to(pair.sign(content).as_ref(), out);
            }
        }
    }
}

impl Key {
    const fn prefix(&self) -> &'static str {
        match self {
            Key::Symmetric => SYMMETRIC_PREFIX,
            Key::Asymmetric(_) => ASYMMETRIC_PREFIX,
        }
    }

    /// Bytes of one signature in the header.
    const fn signature_len(&self) -> usize {
        match self {
            Key::Symmetric => "v1,".len() + base64::encoded_len(TAG_BYTES),
            Key::Asymmetric(_) => "v1a,".len() + base64::encoded_len(SIGNATURE_BYTES),
        }
    }
}

impl Secrets {
    /// These secrets, one at least.
    ///
    /// # Errors
    /// [`SecretError::Count`].
    pub fn new(secrets: Vec<Secret>) -> Result<Secrets, SecretError> {
        match secrets.len() {
            1..=SECRETS_MAX => Ok(Secrets(Some(secrets.into()))),
            other => Err(SecretError::Count(other)),
        }
    }

    /// Reads what stands in a file: a secret a line, white space and byte order marks around it and empty lines left
    /// out.
    ///
    /// # Errors
    /// What is wrong, and in which line, from 1; no line if there is none, or too many.
    pub fn parse_file(text: &str) -> Result<Secrets, (Option<usize>, SecretError)> {
        // A byte order mark stands before a text, and in the middle of what was put together from several.
        let blank = |letter: char| letter.is_whitespace() || letter == '\u{feff}';
        let lines = text.lines().map(|line| line.trim_matches(blank)).zip(1..);
        let lines = lines.filter(|(line, _)| !line.is_empty());
        let secrets: Result<Vec<Secret>, _> = lines
            .map(|(line, number)| Secret::parse(line).map_err(|error| (Some(number), error)))
            .collect();
        Secrets::new(secrets?).map_err(|error| (None, error))
    }

    /// Whether nothing is signed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes of the header's value.
    #[must_use]
    pub fn signature_len(&self) -> usize {
        let lengths = self.iter().map(|secret| secret.key.signature_len() + 1);
        lengths.sum::<usize>().saturating_sub(1)
    }

    /// The value of `webhook-signature` for an attempt at this Unix time; none where nothing is signed.
    ///
    /// The content is put together in the room before the body, which has the head only afterwards: so it costs no
    /// copy of the body.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, message: &mut Message) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let mut prefix = Vec::with_capacity(id.len() + 22);
        prefix.extend_from_slice(id.as_bytes());
        prefix.push(b'.');
        push_number(&mut prefix, timestamp);
        prefix.push(b'.');
        let content = message.behind(&prefix);
        let mut value = String::with_capacity(self.signature_len());
        for secret in self.iter() {
            if !value.is_empty() {
                value.push(' ');
            }
            secret.sign(&content, &mut value);
        }
        Some(value)
    }

    /// The secrets as they were written: for masks, and nothing else.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.iter().map(Secret::text)
    }

    /// What they take, in bytes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let secrets = self.iter().map(|secret| {
            let pair = match &secret.key {
                Key::Symmetric => 0,
                // Beside what is counted in the box, the library keeps seed and public key.
                Key::Asymmetric(pair) => size_of_val(&**pair) + KEY_PAIR_BYTES,
            };
            size_of::<Secret>() + secret.bytes.len() + pair
        });
        secrets.sum()
    }

    fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.as_deref().unwrap_or_default().iter()
    }
}

fn decode(base64: &str) -> Result<Box<[u8]>, SecretError> {
    let base64 = Base64::parse(Cow::Borrowed(base64)).map_err(SecretError::Base64)?;
    let mut bytes = Vec::with_capacity(base64.decoded_len());
    base64.decode_to(&mut bytes);
    Ok(bytes.into())
}

impl PartialEq for Secret {
    /// Whether they are the same for a receiver: of the operator's own settings, so the time may differ.
    fn eq(&self, other: &Secret) -> bool {
        self.key.prefix() == other.key.prefix() && self.bytes == other.bytes
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Prefix => f.write_str(
                "expected whsec_ (HMAC-SHA256) or whsk_ (Ed25519 private key) and base64, found neither prefix",
            ),
            SecretError::Base64(error) => write!(f, "behind the prefix {error}"),
            SecretError::Symmetric(found) => write!(
                f,
                "expected whsec_ and base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, found {found} bytes"
            ),
            SecretError::Asymmetric(found) => write!(
                f,
                "expected whsk_ and base64 of {SEED_BYTES} bytes (the seed) or {KEY_PAIR_BYTES} (seed and public key), \
                 found {found} bytes"
            ),
            SecretError::PublicKey => f.write_str(
                "expected whsk_ and base64 of a seed and its own public key, found another public key behind it",
            ),
            SecretError::Count(found) => {
                write!(f, "expected 1 to {SECRETS_MAX} secrets, found {found}")
            }
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests;
