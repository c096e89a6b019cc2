//! TLS sessions against rustls' own server, in memory: no socket, no time.

use super::*;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::fs;

const CA: &[u8] = include_bytes!("testdata/ca.pem");
const LEAF: &[u8] = include_bytes!("testdata/leaf.pem");
const EXPIRED: &[u8] = include_bytes!("testdata/expired.pem");
const CLIENT: &[u8] = include_bytes!("testdata/client.pem");
const KEY: &[u8] = include_bytes!("testdata/leaf.key");

struct Pair {
    client: Session,
    server: ServerConnection,
    plain: Vec<u8>,
    heard: Vec<u8>,
}

impl Pair {
    fn new(client: &Client, host: &Host, config: &Arc<ServerConfig>) -> Pair {
        Pair::with_profile(client, 0, host, config)
    }

    fn with_profile(
        client: &Client,
        profile: TlsProfile,
        host: &Host,
        config: &Arc<ServerConfig>,
    ) -> Pair {
        Pair {
            client: Session::new(client, profile, host).unwrap(),
            server: ServerConnection::new(Arc::clone(config)).unwrap(),
            plain: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Moves bytes until both are silent; the client's verdict, and the server's error.
    fn drive(&mut self) -> (Result<bool, Cause>, Option<rustls::Error>) {
        let mut closed = false;
        let mut server_error = None;
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            assert!(self.client.flush(&mut bytes).unwrap());
            let mut rest = &bytes[..];
            while !rest.is_empty() && server_error.is_none() {
                self.server.read_tls(&mut rest).unwrap();
                server_error = self.server.process_new_packets().err();
                self.hear();
            }
            let mut bytes = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut bytes).unwrap();
            }
            match self.client.feed(&bytes, &mut self.plain) {
                Ok(now) => closed |= now,
                Err(cause) => return (Err(cause), server_error),
            }
        }
        (Ok(closed), server_error)
    }

    fn failure(&mut self) -> String {
        let cause = self.drive().0.unwrap_err();
        assert_eq!(cause.kind, CauseKind::Tls);
        cause.message.into()
    }

    /// What the server has decrypted.
    fn hear(&mut self) {
        match self.server.reader().read_to_end(&mut self.heard) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

fn trusting_client() -> Client {
    trusting_client_with(&[])
}

fn trusting_client_with(identities: &[Identity]) -> Client {
    client_trusting(CA, identities)
}

/// Trusts what stands in this file, and public authorities.
fn client_trusting(file: &[u8], identities: &[Identity]) -> Client {
    let found = pem::certificates(file, false).unwrap();
    Client::new(&Credentials {
        roots: Arc::new(Roots::default().and(found.items).unwrap()),
        identities: identities.into(),
    })
}

fn server(
    chain: &[u8],
    versions: &[&'static rustls::SupportedProtocolVersion],
    wants_certificate: bool,
) -> Arc<ServerConfig> {
    let chain = pem::certificates(chain, false).unwrap().items;
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let signer = provider().key_provider.load_private_key(key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = if wants_certificate {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(CLIENT).unwrap())
            .unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()));
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    // Whatever the certificate: it is the client that judges it.
    let shown = CertifiedKey::new(chain, signer);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn both() -> [&'static rustls::SupportedProtocolVersion; 2] {
    [&rustls::version::TLS13, &rustls::version::TLS12]
}

fn name(name: &str) -> Host {
    Host::Name(name.into())
}

#[test]
fn a_name_and_an_address_are_verified_and_http_1_1_is_chosen() {
    let client = trusting_client();
    let config = server(LEAF, &both(), false);
    for host in [name("localhost"), Host::Ip([127, 0, 0, 1].into())] {
        let mut pair = Pair::new(&client, &host, &config);
        assert_eq!(pair.client.take([b"early", b""]), 0, "no early data");
        assert_eq!(pair.drive(), (Ok(false), None));
        assert!(!pair.client.is_handshaking() && !pair.client.is_resumed());
        assert_eq!(pair.server.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(pair.client.take([b"head", b"body"]), 8);
        pair.drive().0.unwrap();
        assert_eq!(pair.heard, b"headbody");
        pair.server.writer().write_all(b"answer").unwrap();
        pair.drive().0.unwrap();
        assert_eq!(pair.plain, b"answer");
    }
}

#[test]
fn f59_certificates_that_do_not_fit_are_told_apart() {
    let client = trusting_client();
    let config = server(LEAF, &both(), false);
    let mut pair = Pair::new(&client, &name("other.test"), &config);
    assert_eq!(
        pair.failure(),
        "certificate is not valid for other.test, but for localhost, receiver.test, 127.0.0.1"
    );
    let mut pair = Pair::new(&client, &Host::Ip([127, 0, 0, 2].into()), &config);
    let message = pair.failure();
    assert!(
        message.starts_with("certificate is not valid for 127.0.0.2, but for "),
        "{message}"
    );
    let expired = server(EXPIRED, &both(), false);
    let mut pair = Pair::new(&client, &name("localhost"), &expired);
    let message = pair.failure();
    assert!(
        message.starts_with("certificate expired ") && message.ends_with(" days ago"),
        "{message}"
    );
    assert!(pair.heard.is_empty());
    let strict = Client::new(&Credentials {
        roots: Arc::default(),
        identities: [].into(),
    });
    let mut pair = Pair::new(&strict, &name("localhost"), &config);
    assert_eq!(
        pair.failure(),
        "certificate's issuer is unknown: neither a public root nor in --ca-file"
    );
    assert!(pair.client.is_handshaking());
}

#[test]
fn f60_an_alert_after_the_handshake_is_tls_and_says_why() {
    let client = trusting_client();
    let config = server(LEAF, &[&rustls::version::TLS13], true);
    let mut pair = Pair::new(&client, &name("localhost"), &config);
    let (outcome, server_error) = pair.drive();
    let cause = outcome.unwrap_err();
    assert_eq!(cause.kind, CauseKind::Tls);
    assert_eq!(
        &*cause.message,
        "the peer sent the alert 'certificate required'"
    );
    assert!(server_error.is_some() && !pair.client.is_handshaking());
}

#[test]
fn f60_a_client_certificate_is_shown_where_its_profile_says_so() {
    let identity = identity(CLIENT, KEY).unwrap();
    let client = trusting_client_with(std::slice::from_ref(&identity));
    let shown = CertificateDer::from_pem_slice(CLIENT).unwrap();
    for version in both() {
        let config = server(LEAF, &[version], true);
        let profile = identity.profile();
        let mut pair = Pair::with_profile(&client, profile, &name("localhost"), &config);
        assert_eq!(pair.drive(), (Ok(false), None));
        assert_eq!(pair.server.peer_certificates(), Some(&[shown.clone()][..]));
        let mut other = Pair::new(&client, &name("localhost"), &config);
        let message = other.failure();
        assert!(message.starts_with("the peer sent the alert"), "{message}");
        assert!(!other.client.is_resumed(), "F18: sessions are per profile");
    }
}

#[test]
fn what_is_no_identity_is_told_by_its_file() {
    let certificate = |words: &str| IdentityError::Certificate(words.into());
    let key = |words: &str| IdentityError::Key(words.into());
    let broken = b"-----BEGIN PRIVATE KEY-----\ns3cret!\n-----END PRIVATE KEY-----\n";
    let other = rustls_other_key();
    for (chain, private, expected) in [
        (
            &b"none"[..],
            KEY,
            certificate("expected a certificate in PEM, found none"),
        ),
        (
            KEY,
            KEY,
            certificate("expected a certificate in PEM, found none"),
        ),
        (
            LEAF,
            b"",
            key("expected a private key in PEM, not encrypted, found none"),
        ),
        (
            LEAF,
            LEAF,
            key("expected a private key in PEM, not encrypted, found none"),
        ),
        (
            LEAF,
            broken,
            key("block 1 (line 1, \"PRIVATE KEY\"): found bad base64, or another key than it says"),
        ),
        (
            LEAF,
            &other,
            key("expected the certificate's own key, found another"),
        ),
    ] {
        assert_eq!(identity(chain, private), Err(expected));
    }
    let one = identity(LEAF, KEY).unwrap();
    assert_eq!(identity(LEAF, KEY), Ok(one.clone()));
    let chain = [LEAF, CA].concat();
    let longer = identity(&chain, KEY).unwrap();
    assert!(longer != one && one.profile() != 0);
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

fn identity(chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
    let chain = certificates(chain).map_err(IdentityError::Certificate)?;
    let (key, _) = private_key(key).map_err(IdentityError::Key)?;
    Identity::new(chain.items, key)
}

/// A private key that is no certificate's.
fn rustls_other_key() -> Vec<u8> {
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    );
    let der = pair.unwrap().to_pkcs8v1().unwrap();
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    conduit::wire::base64::encode_to(der.as_ref(), &mut pem);
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem.into_bytes()
}

#[test]
fn f63_a_peer_that_speaks_no_tls_is_recognised() {
    let client = trusting_client();
    let mut session = Session::new(&client, 0, &name("localhost")).unwrap();
    let mut plain = Vec::new();
    let cause = session
        .feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut plain)
        .unwrap_err();
    assert_eq!(cause.kind, CauseKind::Tls);
    assert_eq!(&*cause.message, "the peer does not speak TLS");
    assert!(plain.is_empty());
}

#[test]
fn f64_tickets_and_key_updates_are_no_plaintext_and_resume() {
    for version in both() {
        let client = trusting_client();
        let config = server(LEAF, &[version], false);
        let mut first = Pair::new(&client, &name("localhost"), &config);
        assert_eq!(first.drive(), (Ok(false), None));
        assert!(first.plain.is_empty(), "tickets have arrived by now");
        if version == &rustls::version::TLS13 {
            first.server.refresh_traffic_keys().unwrap();
            assert_eq!(first.drive(), (Ok(false), None));
            assert!(first.plain.is_empty());
        }
        let mut second = Pair::new(&client, &name("localhost"), &config);
        assert_eq!(second.drive(), (Ok(false), None));
        assert!(second.client.is_resumed(), "{version:?}");
        let mut other = Pair::new(&client, &name("receiver.test"), &config);
        assert_eq!(other.drive(), (Ok(false), None));
        assert!(!other.client.is_resumed(), "F18: sessions are per name");
    }
}

#[test]
fn f67_close_notify_is_sent_and_heard() {
    let config = server(LEAF, &both(), false);
    let mut pair = Pair::new(&trusting_client(), &name("localhost"), &config);
    pair.drive().0.unwrap();
    pair.server.writer().write_all(b"last").unwrap();
    pair.server.send_close_notify();
    assert_eq!(pair.drive(), (Ok(true), None));
    assert_eq!(pair.plain, b"last");
    assert_eq!(
        pair.client.feed(b"ignored", &mut pair.plain),
        Ok(true),
        "nothing counts after close_notify"
    );
    pair.client.close();
    assert_eq!(pair.drive().1, None);
    assert_eq!(pair.server.reader().read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn no_more_than_two_records_wait_unsent() {
    let config = server(LEAF, &both(), false);
    let mut pair = Pair::new(&trusting_client(), &name("localhost"), &config);
    pair.drive().0.unwrap();
    let body = vec![7; 100_000];
    let first = pair.client.take([b"head", &body]);
    assert!((16_384..=UNSENT_BYTES_MAX).contains(&first), "{first}");
    assert_eq!(pair.client.take([b"", &body]), 0, "nothing was sent yet");
    pair.drive().0.unwrap();
    assert_eq!(pair.heard.len(), first);
    assert!(pair.client.take([b"", &body]) > 0);
}

#[test]
fn a_bad_record_after_good_ones_keeps_what_was_decrypted() {
    let config = server(LEAF, &both(), false);
    let mut pair = Pair::new(&trusting_client(), &name("localhost"), &config);
    pair.drive().0.unwrap();
    pair.server.writer().write_all(b"good").unwrap();
    let mut bytes = Vec::new();
    pair.server.write_tls(&mut bytes).unwrap();
    bytes.extend_from_slice(&[23, 3, 3, 0, 20]);
    bytes.extend_from_slice(&[0; 20]);
    let cause = pair.client.feed(&bytes, &mut pair.plain).unwrap_err();
    assert_eq!(cause.kind, CauseKind::Tls);
    assert_eq!(pair.plain, b"good");
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let dir = std::env::temp_dir().join(format!("conduit-ca-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("ca.pem");
    assert!(
        Roots::read(Some(&path))
            .unwrap_err()
            .starts_with("can't read ")
    );
    for (contents, expected) in [
        (
            &b"no PEM here"[..],
            "found no certificate, expected at least one in PEM",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "block 1 (line 1, \"CERTIFICATE\"): found no certificate in DER",
        ),
    ] {
        fs::write(&path, contents).unwrap();
        let message = Roots::read(Some(&path)).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    fs::write(&path, CA).unwrap();
    let (read, warnings) = Roots::read(Some(&path)).unwrap();
    assert!(read != Roots::default() && warnings.is_empty());
    fs::remove_dir_all(dir).unwrap();
}

const ODD_ROOT: &[u8] = include_bytes!("testdata/odd-root.pem");
const OWN: &[u8] = include_bytes!("testdata/odd-own.pem");
const OWN_EXPIRED: &[u8] = include_bytes!("testdata/odd-own-expired.pem");
const LEAF_CA: &[u8] = include_bytes!("testdata/odd-leaf-ca.pem");
const V1: &[u8] = include_bytes!("testdata/odd-v1.pem");
const CRITICAL: &[u8] = include_bytes!("testdata/odd-critical.pem");
const CLIENT_ONLY: &[u8] = include_bytes!("testdata/odd-client-only.pem");
const CONSTRAINED: &[u8] = include_bytes!("testdata/odd-constrained.pem");
const NO_SIGN: &[u8] = include_bytes!("testdata/odd-nosign.pem");

/// What comes of a handshake with who shows this chain.
fn verdict(trusted: &[u8], shown: &[u8], host: &str) -> Result<(), String> {
    let client = client_trusting(trusted, &[]);
    let mut verdicts = both().map(|version| {
        let config = server(shown, &[version], false);
        let mut pair = Pair::new(&client, &name(host), &config);
        let verdict = pair.drive().0;
        verdict
            .map(|_| ())
            .map_err(|cause| String::from(cause.message))
    });
    assert_eq!(verdicts[0], verdicts[1]);
    std::mem::replace(&mut verdicts[0], Ok(()))
}

#[test]
fn f125_a_certificate_that_ca_file_holds_is_trusted_as_it_stands() {
    for (what, trusted, shown) in [
        ("signs itself, CA:TRUE", OWN, OWN),
        ("a leaf as its own root", LEAF, LEAF),
        ("an authority's by its words", LEAF_CA, LEAF_CA),
        (
            "the same beside its issuer",
            &[ODD_ROOT, LEAF_CA].concat(),
            LEAF_CA,
        ),
        ("for clients only", CLIENT_ONLY, CLIENT_ONLY),
    ] {
        assert_eq!(verdict(trusted, shown, "localhost"), Ok(()), "{what}");
        // For its names, and no others.
        let message = verdict(trusted, shown, "other.test").unwrap_err();
        assert!(
            message.starts_with("certificate is not valid for other.test, but for localhost"),
            "{what}: {message}"
        );
    }
    let message = verdict(OWN_EXPIRED, OWN_EXPIRED, "localhost").unwrap_err();
    assert!(message.starts_with("certificate expired "), "{message}");
    // One that only looks like it, with the same name and key, is another.
    let message = verdict(OWN, OWN_EXPIRED, "localhost").unwrap_err();
    assert!(
        message.starts_with("certificate is an authority's")
            || message.starts_with("certificate expired"),
        "{message}"
    );
    let message = verdict(ODD_ROOT, LEAF_CA, "localhost").unwrap_err();
    assert!(
        message.starts_with("certificate is an authority's (CA:TRUE)"),
        "{message}"
    );
}

#[test]
fn f125_who_shows_a_named_certificate_must_have_its_key() {
    // The authority's own certificate, without its key.
    let message = verdict(CA, CA, "localhost").unwrap_err();
    assert!(
        message.contains("not valid for localhost"),
        "no name: {message}"
    );
    let other = PrivateKeyDer::from_pem_slice(&rustls_other_key()).unwrap();
    let signer = provider().key_provider.load_private_key(other).unwrap();
    let shown = CertifiedKey::new(pem::certificates(OWN, false).unwrap().items, signer);
    for version in both() {
        let config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown.clone())));
        let client = client_trusting(OWN, &[]);
        let mut pair = Pair::new(&client, &name("localhost"), &Arc::new(config));
        let message = pair.failure();
        assert!(message.contains("bad signature"), "{message}");
    }
}

#[test]
fn f125_a_leaf_in_ca_file_vouches_for_nobody_else() {
    let plain = Roots::default().anchors.len();
    for (file, anchors) in [
        (CONSTRAINED, 1),
        (NO_SIGN, 0),
        (OWN, 1),
        (ODD_ROOT, 1),
        (V1, 1),
    ] {
        let found = pem::certificates(file, false).unwrap().items;
        let roots = Roots::default().and(found).unwrap();
        assert_eq!(roots.anchors.len(), plain + anchors);
    }
    let unknown = "certificate's issuer is unknown: neither a public root nor in --ca-file";
    assert_eq!(verdict(OWN, LEAF, "localhost"), Err(unknown.to_owned()));
}

#[test]
fn f127_what_is_refused_is_said_in_words() {
    for (shown, expected) in [
        (V1, "is not of X.509 version 3, which alone has names"),
        (CRITICAL, "has a critical extension that is not known here"),
        (
            CONSTRAINED,
            "is for names that its authority may not vouch for (name constraints)",
        ),
        (NO_SIGN, "was issued by one that may issue none"),
        (
            CLIENT_ONLY,
            "is not for servers: its extended key usage lacks serverAuth",
        ),
        (LEAF_CA, "is an authority's (CA:TRUE), not a server's"),
    ] {
        let message = verdict(ODD_ROOT, shown, "localhost").unwrap_err();
        let words = message.strip_prefix("certificate ").unwrap_or_default();
        assert!(words.starts_with(expected), "{message}");
    }
}

#[test]
fn f127_no_error_shows_a_programmers_notation() {
    use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};
    for (error, expected) in [
        (
            Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare),
            "the peer breaks the rules of TLS: invalid key share",
        ),
        (
            Error::InvalidMessage(InvalidMessage::MissingData("ServerHelloPayload")),
            "the peer sent a message that is no TLS: missing data",
        ),
        (
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            "nothing in common with what the peer supports: no cipher suite",
        ),
        (
            Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
            "nothing in common with what the peer supports: tls12 not offered",
        ),
        (
            CertificateError::UnknownRevocationStatus.into(),
            "certificate can't be used: unknown revocation status",
        ),
        (Error::EncryptError, "TLS failed: encrypt error"),
    ] {
        assert_eq!(describe(&error), expected);
    }
}

#[test]
fn f126_a_client_certificate_is_the_receivers_to_judge() {
    for chain in [V1, CRITICAL, LEAF_CA, OWN_EXPIRED] {
        let own = identity(chain, KEY).unwrap();
        assert_eq!(own.certified_key().cert.len(), 1);
        let other = identity(chain, &rustls_other_key());
        let words = "expected the certificate's own key, found another";
        assert_eq!(other, Err(IdentityError::Key(words.into())));
    }
}

#[test]
fn f124_pem_is_taken_as_people_have_it() {
    let leaf = pem::certificates(LEAF, false).unwrap().items.remove(0);
    let ca = pem::certificates(CA, false).unwrap().items.remove(0);
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let (leaf_text, ca_text) = (text(LEAF), text(CA));
    let relabelled = |label: &str| leaf_text.replace(" CERTIFICATE-", &format!(" {label}-"));
    let indented: String = leaf_text
        .lines()
        .map(|line| format!("\t  {line}  \n"))
        .collect();
    let mark = "\u{feff}";
    for (what, file) in [
        ("as it is", format!("{leaf_text}{ca_text}")),
        ("a byte order mark", format!("{mark}{leaf_text}{ca_text}")),
        (
            "one between two files",
            format!("{leaf_text}{mark}{ca_text}"),
        ),
        (
            "END and BEGIN on a line",
            format!("{}{ca_text}", leaf_text.trim_end()),
        ),
        (
            "the same, a mark between",
            format!("{}{mark}{ca_text}", leaf_text.trim_end()),
        ),
        (
            "X509",
            format!("{}{ca_text}", relabelled("X509 CERTIFICATE")),
        ),
        (
            "TRUSTED",
            format!("{}{ca_text}", relabelled("TRUSTED CERTIFICATE")),
        ),
        ("indented", format!("{indented}{ca_text}")),
        (
            "Windows",
            format!("{leaf_text}{ca_text}").replace('\n', "\r\n"),
        ),
        (
            "old Macintosh",
            format!("{leaf_text}{ca_text}").replace('\n', "\r"),
        ),
        (
            "text",
            format!("Subject: x\n-----\n{leaf_text}\n# CA\n{ca_text} end"),
        ),
        (
            "one line",
            format!("{leaf_text}{ca_text}").replace("CERTIFICATE-----\n", "CERTIFICATE-----"),
        ),
    ] {
        for with_key in [false, true] {
            let found = pem::certificates(file.as_bytes(), with_key).expect(what);
            assert_eq!(found.items, [leaf.clone(), ca.clone()], "{what}");
            assert_eq!(found.passed_over, [""; 0], "{what}");
        }
    }
    let trusted = pem::certificates(include_bytes!("testdata/odd-trusted.pem"), false);
    let plain = pem::certificates(ODD_ROOT, false);
    assert_eq!(trusted, plain, "what it is trusted for stands behind it");
    let key = private_key(&[mark.as_bytes(), KEY].concat()).unwrap();
    assert_eq!(key.0, private_key(KEY).unwrap().0);
}

#[test]
fn f124_a_block_that_is_broken_or_passed_over_is_named() {
    let text = |pem: &[u8]| String::from_utf8(pem.to_vec()).unwrap();
    let (leaf, ca, key) = (text(LEAF), text(CA), text(KEY));
    let lines = leaf.lines().count();
    let open = leaf.lines().take(lines - 1).collect::<Vec<_>>().join("\n");
    for (file, expected) in [
        (
            format!("{ca}{open}\n"),
            "expected END behind BEGIN \"CERTIFICATE\", found none",
        ),
        (
            format!("{open}\n{ca}"),
            "block 1 (line 1): expected END behind BEGIN \"CERTIFICATE\", found another BEGIN",
        ),
        (
            leaf.replace("END CERT", "END X509 CERT"),
            "expected END of \"CERTIFICATE\", found \"X509 CERTIFICATE\"",
        ),
        (
            leaf.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE"),
            "block 1 (line 1): ",
        ),
        (
            leaf.replace("MII", "M!I"),
            "block 1 (line 1, \"CERTIFICATE\"): found bad base64",
        ),
        (
            format!("\u{feff}{leaf}")
                .chars()
                .map(|c| format!("{c}\0"))
                .collect(),
            "found none",
        ),
    ] {
        let found = certificates(file.as_bytes()).unwrap_err();
        assert!(found.contains(expected), "{found}");
    }
    let utf16: Vec<u8> = [0xfeff_u16]
        .into_iter()
        .chain(leaf.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(certificates(&utf16).unwrap_err().contains("UTF-16"));
    assert!(
        certificates(&pem::certificates(LEAF, false).unwrap().items[0])
            .unwrap_err()
            .contains("DER")
    );
    let commented: String = leaf.lines().map(|line| format!("# {line}\n")).collect();
    let crl = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let found = certificates(format!("{commented}{ca}{crl}{key}").as_bytes()).unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(
        found.passed_over.len(),
        2,
        "a key may stand there: {:?}",
        found.passed_over
    );
    assert!(
        found.passed_over[0]
            .starts_with("block 1 (line 1) is passed over: something stands before")
    );
    assert!(
        found.passed_over[1].contains("block 3 "),
        "{:?}",
        found.passed_over
    );
    let locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
        DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(
        private_key(locked.as_bytes())
            .unwrap_err()
            .contains("an encrypted private key")
    );
    let (_, passed_over) = private_key(format!("{leaf}{key}{key}").as_bytes()).unwrap();
    assert!(passed_over[0].starts_with("block 3 "), "{passed_over:?}");
}

/// All hosts of up to five of these characters, and the limits of lengths.
fn hosts() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut start = 0;
    for _ in 0..5 {
        let end = all.len();
        for index in start..end {
            for letter in ["a", "F", "x", "0", "1", "-", "_", "."] {
                all.push(format!("{}{letter}", all[index]));
            }
        }
        start = end;
    }
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    all.extend([label.clone(), format!("{label}a"), format!("{label}a.b")]);
    all.extend([format!("{longest}b"), format!("{longest}."), longest]);
    all.extend(
        [
            "xn--.test",
            "xn--a",
            "a.0x1f",
            "a.0xg",
            "1.2.3.4",
            "1.2.3.4.",
            "1.2.3",
        ]
        .map(Into::into),
    );
    all
}

#[test]
fn f128_url_and_tls_have_one_rule_for_a_name() {
    use conduit::wire::url::{Url, UrlError};
    for host in hosts() {
        let url = format!("https://{host}/");
        match Url::parse(&url) {
            Ok(url) => assert!(ServerName::try_from(&*url.host).is_ok(), "{host:?}"),
            // What reads as a number is no name for a URL.
            Err(UrlError::Ipv4) => {}
            Err(error) => assert!(ServerName::try_from(&*host).is_err(), "{host:?}: {error}"),
        }
    }
}

#[test]
fn a_name_that_no_certificate_can_carry_is_refused() {
    let cause = Session::new(&trusting_client(), 0, &name("-bad-.test")).unwrap_err();
    assert_eq!(cause.kind, CauseKind::Tls);
    assert!(cause.message.contains("-bad-.test"));
}
