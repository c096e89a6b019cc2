//! Signatures against those of the standard's own libraries, and everything that is no secret.

use super::*;

/// What the standard's libraries test their signing with: key, and the signature of [`BODY`].
const VECTORS: [(&str, &str); 2] = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
        "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
    ),
];
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: u64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn secrets(texts: &[&str]) -> Secrets {
    let secrets = texts.iter().map(|text| Secret::parse(text).unwrap());
    Secrets::new(secrets.collect()).unwrap()
}

fn sign(texts: &[&str], room: usize) -> String {
    let secrets = secrets(texts);
    let mut message = Message::new(BODY, room);
    let value = secrets.sign(ID, TIMESTAMP, &mut message).unwrap();
    assert_eq!(value.len(), secrets.signature_len());
    assert_eq!(message.body(), BODY);
    value
}

#[test]
fn signatures_are_those_of_the_standards_libraries() {
    for (secret, expected) in VECTORS {
        for room in [0, 10, 512] {
            assert_eq!(sign(&[secret], room), expected);
        }
    }
}

#[test]
fn each_secret_of_a_rotation_has_its_signature() {
    let [(symmetric, v1), (asymmetric, v1a)] = VECTORS;
    assert_eq!(sign(&[asymmetric, symmetric], 512), format!("{v1a} {v1}"));
}

#[test]
fn without_secrets_nothing_is_signed() {
    let mut message = Message::new(BODY, 0);
    let none = Secrets::default();
    assert_eq!(none.sign(ID, TIMESTAMP, &mut message), None);
    assert_eq!((none.signature_len(), none.is_empty()), (0, true));
}

#[test]
fn a_key_with_its_public_half_signs_as_its_seed_does() {
    let (seed, signature) = VECTORS[1];
    let seed = decode(&seed[5..]).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
    let whole = |public: &[u8]| {
        let mut text = "whsk_".to_owned();
        base64::encode_to(&[&seed, public].concat(), &mut text);
        text
    };
    assert_eq!(sign(&[&whole(public)], 512), signature);
    let mut other = public.to_vec();
    other[7] ^= 1;
    let refused = Secret::parse(&whole(&other)).unwrap_err();
    assert_eq!(refused, SecretError::PublicKey);
}

#[test]
fn the_lengths_of_keys_have_both_ends() {
    let key = |prefix: &str, bytes: usize| {
        let mut text = prefix.to_owned();
        base64::encode_to(&vec![7; bytes], &mut text);
        Secret::parse(&text).err()
    };
    for (bytes, expected) in [
        (0, Some(SecretError::Symmetric(0))),
        (23, Some(SecretError::Symmetric(23))),
        (24, None),
        (64, None),
        (65, Some(SecretError::Symmetric(65))),
    ] {
        assert_eq!(key("whsec_", bytes), expected);
    }
    for (bytes, expected) in [
        (31, Some(SecretError::Asymmetric(31))),
        (32, None),
        (33, Some(SecretError::Asymmetric(33))),
        (64, Some(SecretError::PublicKey)),
        (65, Some(SecretError::Asymmetric(65))),
    ] {
        assert_eq!(key("whsk_", bytes), expected);
    }
}

#[test]
fn what_is_no_secret_is_told_without_showing_it() {
    for (text, expected) in [
        ("", "expected whsec_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "expected whsec_"),
        ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "expected whsec_"),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "expected whsec_"),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "behind the prefix expected base64",
        ),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
            "behind the prefix expected standard base64",
        ),
        (
            "whsec_MfKQ9r8G",
            "expected whsec_ and base64 of 24 to 64 bytes, found 6 bytes",
        ),
        ("whsk_MfKQ9r8G", "expected whsk_ and base64 of 32 bytes"),
    ] {
        let message = Secret::parse(text).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{text}: {message}");
        assert!(!message.contains("MfKQ"), "{message}");
    }
    assert_eq!(Secrets::new(Vec::new()), Err(SecretError::Count(0)));
}

#[test]
fn a_file_has_a_secret_a_line() {
    let [(symmetric, _), (asymmetric, _)] = VECTORS;
    let both = secrets(&[symmetric, asymmetric]);
    let text = format!("\n  {symmetric}\r\n\n{asymmetric}\n");
    assert_eq!(Secrets::parse_file(&text), Ok(both.clone()));
    // F124: a byte order mark at the start, and where two files were put together.
    let text = format!("\u{feff}{symmetric}\r\n\u{feff}{asymmetric}\n");
    assert_eq!(Secrets::parse_file(&text), Ok(both));
    let text = format!("{symmetric}\n\nwhsec_\n");
    let refused = Secrets::parse_file(&text);
    assert_eq!(refused, Err((Some(3), SecretError::Symmetric(0))));
    assert_eq!(
        Secrets::parse_file(" \n"),
        Err((None, SecretError::Count(0)))
    );
    let many = format!("{symmetric}\n").repeat(SECRETS_MAX + 1);
    assert_eq!(
        Secrets::parse_file(&many),
        Err((None, SecretError::Count(9)))
    );
}

#[test]
fn debug_output_shows_nothing_and_texts_everything() {
    let [(symmetric, _), (asymmetric, _)] = VECTORS;
    let both = secrets(&[symmetric, asymmetric]);
    assert_eq!(format!("{both:?}"), "[***, ***]");
    assert_eq!(both.texts().collect::<Vec<_>>(), [symmetric, asymmetric]);
    assert_ne!(both, secrets(&[symmetric]));
    assert_ne!(secrets(&[symmetric]), secrets(&[asymmetric]));
}
