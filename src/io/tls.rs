//! TLS of the connections that a loop opens: rustls, fed with bytes and asked for bytes.
//!
//! One [`Client`] a loop holds settings and resumable sessions, one [`Session`] a connection. A client certificate
//! ([`Identity`]) has sessions of its own: none is resumed with the rights of another. A session takes
//! no more plaintext while two records are unsent, so that the engine, which owns unsent bytes, can still stop
//! an upload. No early data: a request must not be replayable.
//!
//! Not here: files with certificates (`pem`), who is trusted (`trust`), client certificates (`identity`), sockets
//! (`stream`), when a connection is secured or closed (the engine).

mod der;
mod identity;
mod pem;
mod trust;
mod words;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use conduit::engine::event::{Cause, CauseKind};
use conduit::engine::policy::TlsProfile;
use conduit::wire::url::Host;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

pub use identity::{Identity, IdentityError, certificates, private_key};
pub use trust::Roots;

use trust::Verifier;
use words::describe;

/// Names whose sessions are kept for resumption; rustls keeps at most 8 tickets for each.
pub const SESSION_NAMES: usize = 1024;
pub const TICKETS_PER_NAME: usize = 8;

/// Likewise for each client certificate, which few receivers ask for.
const IDENTIFIED_NAMES: usize = 16;

/// Bytes of records that may be unsent before no more plaintext is taken: two records (RFC 8446 section 5.1).
pub const UNSENT_BYTES_MAX: usize = 32 * 1024;

/// Whose certificates are trusted, and which are shown.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Those who vouch for receivers.
    pub roots: Arc<Roots>,
    /// Client certificates that the policy names.
    pub identities: Arc<[Identity]>,
}

/// The settings and resumable sessions of one loop.
#[derive(Debug)]
pub struct Client {
    /// Without a client certificate.
    anonymous: Arc<ClientConfig>,
    /// With one; its sessions are no other's.
    identified: BTreeMap<TlsProfile, Arc<ClientConfig>>,
}

/// TLS on one connection.
#[derive(Debug)]
pub struct Session {
    connection: ClientConnection,
    records: Records,
}

/// The cryptography under rustls: chosen here and nowhere else.
#[must_use]
pub fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// The bytes of a file, which must be no more.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(io::Error::other(format!(
            "expected at most {bytes_max} bytes, found more"
        ))),
        false => Ok(bytes),
    }
}

impl Credentials {
    /// Whether these trust and show the same as those.
    #[must_use]
    pub fn are_same(&self, others: &Credentials) -> bool {
        let profiles = |of: &Credentials| -> Vec<TlsProfile> {
            of.identities.iter().map(Identity::profile).collect()
        };
        self.roots == others.roots && profiles(self) == profiles(others)
    }
}

impl Client {
    /// A client with these, without sessions to resume yet.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Client {
        let Credentials { roots, identities } = credentials;
        let provider = Arc::new(provider());
        let verifier = Arc::new(Verifier::new(roots, &provider));
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .expect("the provider has cipher suites for both versions")
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
        };
        let complete = |mut config: ClientConfig, session_names: usize| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let sessions = session_names * TICKETS_PER_NAME;
            config.resumption = Resumption::in_memory_sessions(sessions);
            Arc::new(config)
        };
        let identified = identities.iter().map(|identity| {
            let resolver = SingleCertAndKey::from(identity.certified_key());
            let config = builder().with_client_cert_resolver(Arc::new(resolver));
            (identity.profile(), complete(config, IDENTIFIED_NAMES))
        });
        Client {
            identified: identified.collect(),
            anonymous: complete(builder().with_no_client_auth(), SESSION_NAMES),
        }
    }

    /// # Panics
    /// If there is no such profile.
    fn config(&self, profile: TlsProfile) -> &Arc<ClientConfig> {
        match profile {
            0 => &self.anonymous,
            profile => self
                .identified
                .get(&profile)
                .expect("settings and their client certificates come together"),
        }
    }
}

/// Where the records of a stream of bytes end (RFC 8446 section 5.1): type, version, length, and as many bytes.
#[derive(Debug, Default)]
struct Records {
    header: [u8; 5],
    header_bytes: usize,
    /// Bytes that the record still has.
    left: usize,
}

impl Records {
    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = rest;
            if self.header_bytes == self.header.len() {
                self.header_bytes = 0;
                self.left = u16::from_be_bytes([self.header[3], self.header[4]]).into();
            }
        }
    }
}

impl Session {
    /// Begins a handshake with `host`, as this profile has it. The certificate must be valid for its name or address
    /// (RFC 9110 section 4.3.5). Its first bytes wait to be flushed.
    ///
    /// # Errors
    /// A name that no certificate can carry.
    pub fn new(client: &Client, profile: TlsProfile, host: &Host) -> Result<Session, Cause> {
        let name = match host {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => ServerName::try_from(String::from(&**name))
                .map_err(|_| cause(format!("no certificate can be valid for the name {name}")))?,
        };
        let config = Arc::clone(client.config(profile));
        let mut connection =
            ClientConnection::new(config, name).map_err(|error| cause(describe(&error)))?;
        connection.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Ok(Session {
            connection,
            records: Records::default(),
        })
    }

    /// Makes records of plaintext; returns of how many bytes. 0 while two records are unsent, and before the
    /// handshake is done.
    pub fn take(&mut self, parts: [&[u8]; 2]) -> usize {
        if self.is_handshaking() {
            return 0;
        }
        let mut taken = 0;
        for part in parts {
            if part.is_empty() {
                continue;
            }
            let n = self
                .connection
                .writer()
                .write(part)
                .expect("rustls only buffers here, up to its limit");
            taken += n;
            if n < part.len() {
                break;
            }
        }
        taken
    }

    /// Sends what waits to be sent; whether all of it has been.
    ///
    /// # Errors
    /// The socket's, `WouldBlock` excepted.
    pub fn flush(&mut self, socket: &mut dyn Write) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut &mut *socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes in bytes from the socket and appends their plaintext; whether the peer has said that these are
    /// the last (`close_notify`). Tickets and key updates have no plaintext.
    ///
    /// # Errors
    /// Kind `Tls`. What was decrypted before the error has been appended; an alert may wait to be flushed.
    pub fn feed(&mut self, mut records: &[u8], plain: &mut Vec<u8>) -> Result<bool, Cause> {
        self.records.follow(records);
        while !records.is_empty() {
            let read = self
                .connection
                .read_tls(&mut records)
                .map_err(|error| cause(format!("a record was not understood: {error}")))?;
            if read == 0 {
                // After close_notify nothing counts any more (RFC 8446 section 6.1).
                return Ok(true);
            }
            let outcome = self.connection.process_new_packets();
            let closed = self.drain(plain)?;
            match outcome {
                Err(error) => return Err(cause(describe(&error))),
                Ok(_) if closed => return Ok(true),
                Ok(_) => {}
            }
        }
        Ok(false)
    }

    /// Queues `close_notify`, to be flushed.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether the bytes so far end within a record: rustls keeps these until the rest is there.
    #[must_use]
    pub const fn is_within_record(&self) -> bool {
        self.records.header_bytes > 0 || self.records.left > 0
    }

    /// Whether the handshake goes on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake resumed an earlier session (RFC 8446 section 2.2).
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether bytes wait to be flushed.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    fn drain(&mut self, plain: &mut Vec<u8>) -> Result<bool, Cause> {
        match self.connection.reader().read_to_end(plain) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(cause(format!("decrypted bytes can't be read: {error}"))),
        }
    }
}

fn cause(message: String) -> Cause {
    Cause {
        kind: CauseKind::Tls,
        message: message.into(),
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
