//! Client certificates: a chain and its private key, from PEM, checked against each other.
//!
//! Each has a number that is the same for the same chain and key, whatever they are called and however often they are
//! read: what the engine knows of TLS ([`TlsProfile`]).
//!
//! Not here: which endpoint has which (`config`), handshakes (`tls`).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use conduit::engine::policy::TlsProfile;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::io::tls::provider;

/// A client certificate and its key.
#[derive(Clone)]
pub struct Identity {
    profile: TlsProfile,
    key: Arc<CertifiedKey>,
}

/// Which of the two files is wrong, and why; nothing of the key is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The certificate's.
    Certificate(String),
    /// The key's.
    Key(String),
}

/// A certificate in PEM, with those that vouch for it behind it.
///
/// # Errors
/// There is none.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("expected certificates in PEM, found {error}"))?;
    match chain.is_empty() {
        true => Err("expected a certificate in PEM, found none".to_owned()),
        false => Ok(chain),
    }
}

/// A private key in PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
///
/// # Errors
/// There is none.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        // The other errors repeat lines of the file.
        let found = match error {
            pem::Error::NoItemsFound => "none",
            _ => "bad PEM",
        };
        format!("expected a private key in PEM, not encrypted, found {found}")
    })
}

impl Identity {
    /// A chain with its own private key.
    ///
    /// # Errors
    /// [`IdentityError`], also where the key is another certificate's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        let profile = profile(&chain, &key);
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                IdentityError::Key("expected the certificate's own key, found another".to_owned())
            }
            rustls::Error::InvalidCertificate(error) => {
                IdentityError::Certificate(format!("the certificate can't be used: {error:?}"))
            }
            other => IdentityError::Key(format!("the key can't be used: {other}")),
        })?;
        Ok(Identity {
            profile,
            key: Arc::new(certified),
        })
    }

    /// Its number, never 0.
    #[must_use]
    pub const fn profile(&self) -> TlsProfile {
        self.profile
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

fn profile(chain: &[CertificateDer<'_>], key: &PrivateKeyDer<'_>) -> TlsProfile {
    let mut context = Context::new(&SHA256);
    let certificates = chain.iter().map(|certificate| &**certificate);
    for part in certificates.chain([key.secret_der()]) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    let (first, _) = digest
        .as_ref()
        .split_first_chunk()
        .expect("SHA-256 has 32 bytes");
    TlsProfile::from_be_bytes(*first).max(1)
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.profile == other.profile
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:016x})", self.profile)
    }
}
