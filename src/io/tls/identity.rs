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
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::io::tls::pem::{self, Found};
use crate::io::tls::{der, provider};

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
/// There is none, or a block is broken.
pub fn certificates(file: &[u8]) -> Result<Found<CertificateDer<'static>>, String> {
    let found = pem::certificates(file, true)?;
    match found.items.is_empty() {
        true => Err("expected a certificate in PEM, found none".to_owned()),
        false => Ok(found),
    }
}

/// A private key in PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted; and what of the file is passed over.
///
/// # Errors
/// There is none, or a block is broken.
pub fn private_key(file: &[u8]) -> Result<(PrivateKeyDer<'static>, Vec<String>), String> {
    let found = pem::private_key(file)?;
    let key = found.items.into_iter().next();
    let key =
        key.ok_or_else(|| "expected a private key in PEM, not encrypted, found none".to_owned())?;
    Ok((key, found.passed_over))
}

impl Identity {
    /// A chain with its own private key. Whether the certificate is any good is for the receiver to say: it may be of
    /// X.509 version 1, or have extensions that nobody knows here.
    ///
    /// # Errors
    /// [`IdentityError`], also where the key is another certificate's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        let malformed = || IdentityError::Certificate("the certificate is malformed".to_owned());
        let first = chain.first().ok_or_else(malformed)?;
        let outline = der::outline(first).ok_or_else(malformed)?;
        let profile = profile(&chain, &key);
        let signer = provider().key_provider.load_private_key(key);
        let signer = signer.map_err(|_| {
            let what =
                "the key can't be used: expected RSA, ECDSA (P-256, P-384, P-521) or Ed25519";
            IdentityError::Key(what.to_owned())
        })?;
        let own = signer.public_key();
        if own.is_some_and(|own| *own != *outline.public_key) {
            let what = "expected the certificate's own key, found another";
            return Err(IdentityError::Key(what.to_owned()));
        }
        let certified = CertifiedKey::new(chain, signer);
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
