//! Whose certificates are trusted: Mozilla's authorities, those of `--ca-file`, and certificates that it holds
//! themselves.
//!
//! What the file holds is trusted as it stands, for its names and as long as it is valid, be it an authority's by its
//! own words (`CA:TRUE`, which `openssl req -x509` writes): the operator named exactly it. Beyond that nothing is
//! weaker than webpki, and one thing is stricter: who says of himself that he vouches for no others
//! (`basicConstraints`, `keyUsage`) vouches for none.
//!
//! Not here: what is said of what is refused (`words`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::io::log::escape;
use crate::io::tls::{der, pem, words};

/// Bytes of a file with authorities; a larger one is none. All of Mozilla's take 200,000.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Those who are trusted.
#[derive(Debug)]
pub struct Roots {
    /// Who vouches for others.
    pub(super) anchors: Arc<RootCertStore>,
    /// Who is trusted as it stands.
    named: BTreeSet<Vec<u8>>,
}

/// Judges the certificates that receivers show.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Arc<Roots>,
    webpki: Arc<WebPkiServerVerifier>,
}

/// The certificate was issued by one that may issue none.
#[derive(Debug)]
pub(super) struct IssuedByNone;

impl Roots {
    /// Mozilla's, and those in `ca_file` (PEM); what of it is passed over, a line each.
    ///
    /// # Errors
    /// In words, if the file can't be read, or holds a bad certificate or none.
    pub fn read(ca_file: Option<&Path>) -> Result<(Roots, Vec<String>), String> {
        let Some(path) = ca_file else {
            return Ok((Roots::default(), Vec::new()));
        };
        let mut shown = String::new();
        escape(&path.to_string_lossy(), &mut shown);
        let file = super::read_file(path, FILE_BYTES_MAX)
            .map_err(|error| format!("can't read {shown}: {error}"))?;
        let found = pem::certificates(&file, false).map_err(|wrong| format!("{shown}: {wrong}"))?;
        if found.items.is_empty() {
            return Err(format!(
                "{shown}: found no certificate, expected at least one in PEM"
            ));
        }
        let roots = Roots::default().and(found.items);
        let roots = roots.map_err(|wrong| format!("{shown}: {wrong}"))?;
        let warnings = found.passed_over.iter();
        let warnings = warnings.map(|block| format!("{shown}: {block}"));
        Ok((roots, warnings.collect()))
    }

    /// With these besides.
    ///
    /// # Errors
    /// One that can't be used, by its number.
    pub fn and(self, certificates: Vec<CertificateDer<'static>>) -> Result<Roots, String> {
        let mut anchors = Arc::unwrap_or_clone(self.anchors);
        let mut named = self.named;
        for (certificate, number) in certificates.into_iter().zip(1..) {
            named.insert(certificate.to_vec());
            let outline = der::outline(&certificate);
            let wrong = |why: &str| format!("certificate {number} can't be used: {why}");
            let outline = outline.ok_or_else(|| wrong("it is malformed"))?;
            if outline.may_sign {
                let added = anchors.add(certificate);
                added.map_err(|error| wrong(&words::describe(&error)))?;
            }
        }
        Ok(Roots {
            anchors: Arc::new(anchors),
            named,
        })
    }
}

impl Default for Roots {
    /// Mozilla's.
    fn default() -> Roots {
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Roots {
            anchors: Arc::new(RootCertStore { roots }),
            named: BTreeSet::new(),
        }
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Roots) -> bool {
        self.named == other.named && self.anchors.roots == other.anchors.roots
    }
}

impl Verifier {
    pub(super) fn new(roots: &Arc<Roots>, provider: &Arc<CryptoProvider>) -> Verifier {
        let (anchors, provider) = (Arc::clone(&roots.anchors), Arc::clone(provider));
        let webpki = WebPkiServerVerifier::builder_with_provider(anchors, provider).build();
        Verifier {
            roots: Arc::clone(roots),
            webpki: webpki.expect("Mozilla's are always there, and no revocation lists"),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.roots.named.contains(&**end_entity) {
            return verify_named(end_entity, server_name, now);
        }
        let may_sign = |certificate: &&CertificateDer<'_>| {
            der::outline(certificate).is_none_or(|outline| outline.may_sign)
        };
        let (signers, others): (Vec<_>, Vec<_>) = intermediates.iter().partition(may_sign);
        let signers: Vec<CertificateDer<'_>> = signers.into_iter().cloned().collect();
        let verdict =
            self.webpki
                .verify_server_cert(end_entity, &signers, server_name, ocsp_response, now);
        match verdict {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if have_issued(&others, &signers, end_entity) =>
            {
                let why = OtherError(Arc::new(IssuedByNone));
                Err(CertificateError::Other(why).into())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether one of those who may issue none stands as the issuer of one of the rest.
fn have_issued(
    others: &[&CertificateDer<'_>],
    signers: &[CertificateDer<'_>],
    end_entity: &CertificateDer<'_>,
) -> bool {
    let issued = signers.iter().chain([end_entity]);
    let issuers: Vec<&[u8]> = issued
        .filter_map(|certificate| Some(der::outline(certificate)?.issuer))
        .collect();
    let mut others = others.iter().filter(|other| ***other != *end_entity);
    others
        .any(|other| der::outline(other).is_some_and(|outline| issuers.contains(&outline.subject)))
}

/// Dates and names of a certificate that the operator named. That its key is there the handshake shows.
fn verify_named(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let outline = der::outline(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let (not_before, not_after) = (at(outline.not_before), at(outline.not_after));
    if now < not_before {
        let time = now;
        return Err(CertificateError::NotValidYetContext { time, not_before }.into());
    }
    if now > not_after {
        let time = now;
        return Err(CertificateError::ExpiredContext { time, not_after }.into());
    }
    verify_server_name(&parsed, server_name)?;
    Ok(ServerCertVerified::assertion())
}

impl std::fmt::Display for IssuedByNone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("issued by a certificate that may issue none")
    }
}

impl std::error::Error for IssuedByNone {}
