//! TLS sessions against rustls' own server, in memory: no socket, no time.

use super::*;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection};

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
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CA).unwrap())
        .unwrap();
    Client::new(&Credentials {
        roots: Arc::new(roots),
        identities: identities.into(),
    })
}

fn server(
    chain: &[u8],
    versions: &[&'static rustls::SupportedProtocolVersion],
    wants_certificate: bool,
) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(chain).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
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
    let mut config = builder.with_single_cert(chain, key).unwrap();
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
        roots: Arc::new(roots(None).unwrap()),
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
            key("expected a private key in PEM, not encrypted, found bad PEM"),
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
    let key = private_key(key).map_err(IdentityError::Key)?;
    Identity::new(chain, key)
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
    assert!(roots(Some(&path)).unwrap_err().starts_with("can't read "));
    for (contents, expected) in [
        (
            &b"no PEM here"[..],
            "found no certificate, expected at least one in PEM",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1 can't be used",
        ),
    ] {
        fs::write(&path, contents).unwrap();
        let message = roots(Some(&path)).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    fs::write(&path, CA).unwrap();
    let plain = roots(None).unwrap().len();
    assert_eq!(roots(Some(&path)).unwrap().len(), plain + 1);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_name_that_no_certificate_can_carry_is_refused() {
    let cause = Session::new(&trusting_client(), 0, &name("-bad-.test")).unwrap_err();
    assert_eq!(cause.kind, CauseKind::Tls);
    assert!(cause.message.contains("-bad-.test"));
}
