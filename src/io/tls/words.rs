//! What goes wrong with TLS, in words that say what to do about it.
//!
//! rustls and webpki name their errors for programmers. The ones that are met in the field have words of their own
//! here; of the rest the name is taken apart, so that nothing of a programmer's notation is in a message.
//!
//! Not here: what is checked (`trust`).

use std::fmt::Debug;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Names that a message about a certificate for other names lists.
const NAMES_SHOWN: usize = 3;

/// What went wrong.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => describe_certificate(error),
        Error::AlertReceived(alert) => {
            format!("the peer sent the alert '{}'", describe_alert(*alert))
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the peer does not speak TLS".to_owned()
        }
        Error::InvalidMessage(why) => {
            format!("the peer sent a message that is no TLS: {}", words(why))
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the peer sent a message of TLS where it may not stand".to_owned()
        }
        Error::PeerIncompatible(why) => {
            let what = describe_incompatible(why);
            format!("nothing in common with what the peer supports: {what}")
        }
        Error::PeerMisbehaved(why) => {
            format!("the peer breaks the rules of TLS: {}", words(why))
        }
        Error::NoCertificatesPresented => "the peer showed no certificate".to_owned(),
        Error::DecryptError => "the peer sent a record that can't be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "the peer sent a record that is too long".to_owned(),
        Error::NoApplicationProtocol => "the peer does not offer HTTP/1.1".to_owned(),
        Error::General(why) => format!("TLS failed: {why}"),
        other => format!("TLS failed: {}", words(other)),
    }
}

fn describe_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("certificate expired {} ago", distance(*not_after, *time))
        }
        CertificateError::NotValidYet => "certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "certificate is not valid yet, only in {}",
            distance(*time, *not_before)
        ),
        CertificateError::NotValidForName => "certificate is not valid for this name".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let mut names = presented
                .iter()
                .take(NAMES_SHOWN)
                .map(|name| plain_name(name))
                .collect::<Vec<_>>()
                .join(", ");
            if let Some(more @ 1..) = presented.len().checked_sub(NAMES_SHOWN) {
                names.push_str(&format!(" and {more} more"));
            }
            if names.is_empty() {
                names.push_str("no name");
            }
            let expected = expected.to_str();
            format!("certificate is not valid for {expected}, but for {names}")
        }
        CertificateError::UnknownIssuer => {
            "certificate's issuer is unknown: neither a public root nor in --ca-file".to_owned()
        }
        CertificateError::BadSignature => {
            "certificate has a bad signature, or its issuer a key that is too small \
             (RSA under 2048 bits)"
                .to_owned()
        }
        CertificateError::UnhandledCriticalExtension => of_webpki("UnsupportedCriticalExtension"),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "certificate is signed in a way that is not taken, such as with SHA-1: it must be \
             issued anew"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate is not for servers: its extended key usage lacks serverAuth".to_owned()
        }
        CertificateError::Revoked => "certificate is revoked".to_owned(),
        CertificateError::BadEncoding => "certificate is malformed".to_owned(),
        CertificateError::Other(error) => of_webpki(&name(&error.0)),
        other => format!("certificate can't be used: {}", words(other)),
    }
}

/// What webpki found, by the name that it has there: its type is none of ours.
fn of_webpki(name: &str) -> String {
    let what = match name {
        "CaUsedAsEndEntity" => {
            "is an authority's (CA:TRUE), not a server's: issue one with CA:FALSE, or name exactly \
             this one in --ca-file"
        }
        "EndEntityUsedAsCa" | "IssuedByNone" => {
            "was issued by one that may issue none (CA:FALSE, or key usage without keyCertSign)"
        }
        "UnsupportedCertVersion" => {
            "is not of X.509 version 3, which alone has names: it must be issued anew, with \
             subjectAltName"
        }
        "UnsupportedCriticalExtension" => {
            "has a critical extension that is not known here, so it may not be taken \
             (RFC 5280 section 4.2): it must be issued without that"
        }
        "NameConstraintViolation" => {
            "is for names that its authority may not vouch for (name constraints)"
        }
        "MalformedNameConstraint" | "InvalidNetworkMaskConstraint" => {
            "has an authority whose name constraints are malformed"
        }
        "PathLenConstraintViolated" => {
            "has more authorities between itself and a trusted one than those allow (pathlen)"
        }
        "MaximumPathDepthExceeded"
        | "MaximumPathBuildCallsExceeded"
        | "MaximumSignatureChecksExceeded"
        | "MaximumNameConstraintComparisonsExceeded" => {
            "comes with a chain that is too long or too tangled to follow"
        }
        "MalformedExtensions"
        | "ExtensionValueInvalid"
        | "EmptyEkuExtension"
        | "MalformedDnsIdentifier"
        | "InvalidSerialNumber"
        | "SignatureAlgorithmMismatch" => "is malformed",
        other => return format!("certificate can't be used: {}", apart(other)),
    };
    format!("certificate {what}")
}

fn describe_incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it speaks neither version 1.2 nor 1.3".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite".to_owned(),
        PeerIncompatible::NoKxGroupsInCommon => "no group for the key exchange".to_owned(),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "no signature scheme".to_owned()
        }
        other => words(other),
    }
}

/// The name that a program has for something, without what is in it.
fn name(of: &impl Debug) -> String {
    let text = format!("{of:?}");
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

/// `CertificateRequired` as `certificate required`.
fn words(of: &impl Debug) -> String {
    apart(&name(of))
}

fn apart(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// `DnsName("a.example")`, as rustls presents a name, without the packing.
fn plain_name(presented: &str) -> &str {
    let inner = presented
        .split_once('(')
        .map_or(presented, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// `CertificateRequired` as `certificate required`, the wording of RFC 8446 section 6.
fn describe_alert(alert: AlertDescription) -> String {
    words(&alert)
}

fn distance(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}
