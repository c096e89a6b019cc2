//! PEM (RFC 7468) as people have it in files: byte order marks, blocks one right behind the other or indented, text
//! before and between them.
//!
//! A block begins where `-----BEGIN` stands behind nothing but white space, a byte order mark or the end of another.
//! Whatever else looks like a block is told by its number, so that no part of a file is left out in silence.
//!
//! Not here: what becomes of a certificate or a key (`trust`, `identity`).

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::io::log::quoted;
use crate::io::tls::der;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// UTF-8's, which editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file holds of what was looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// In the order of the file.
    pub items: Vec<T>,
    /// Blocks that are passed over: a few words each.
    pub passed_over: Vec<String>,
}

/// A block of PEM.
struct Block {
    /// From 1 on.
    number: usize,
    line: usize,
    label: String,
    /// Base64, without white space.
    base64: Vec<u8>,
    /// A header says so (RFC 1421 section 4.6.1.1).
    is_encrypted: bool,
}

/// The certificates in a file. Keys may stand beside them where `with_key` says so.
///
/// # Errors
/// A block that is broken, by its number.
pub fn certificates(file: &[u8], with_key: bool) -> Result<Found<CertificateDer<'static>>, String> {
    let (blocks, mut passed_over) = blocks(file)?;
    let mut items = Vec::new();
    for block in &blocks {
        match &*block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                items.push(block.certificate()?);
            }
            label if with_key && (is_key(label) || label.ends_with(" PARAMETERS")) => {}
            _ => passed_over.push(block.passed_over("no certificate")),
        }
    }
    Ok(Found { items, passed_over })
}

/// The private key in a file, which may hold its certificate too: the first, as openssl has it.
///
/// # Errors
/// A block that is broken, by its number; a key that is encrypted. Nothing of a key is shown.
pub fn private_key(file: &[u8]) -> Result<Found<PrivateKeyDer<'static>>, String> {
    let (blocks, mut passed_over) = blocks(file)?;
    let mut items = Vec::new();
    for block in &blocks {
        let label = &*block.label;
        let is_encrypted = block.is_encrypted || label == "ENCRYPTED PRIVATE KEY";
        if is_key(label) && !items.is_empty() {
            passed_over.push(block.passed_over("a key before it counts"));
        } else if is_key(label) && is_encrypted {
            return Err(block.wrong("an encrypted private key, expected one that is not"));
        } else if is_key(label) {
            let key = PrivateKeyDer::from_pem_slice(&block.normal(label));
            items.push(key.map_err(|_| block.wrong("bad base64, or another key than it says"))?);
        } else if !label.ends_with("CERTIFICATE") && !label.ends_with(" PARAMETERS") {
            passed_over.push(block.passed_over("no private key"));
        }
    }
    Ok(Found { items, passed_over })
}

impl Block {
    fn certificate(&self) -> Result<CertificateDer<'static>, String> {
        let der = CertificateDer::from_pem_slice(&self.normal("CERTIFICATE"));
        let der = der.map_err(|_| self.wrong("bad base64"))?;
        // Behind the certificate openssl may keep what it is trusted for.
        let first = der::first_sequence(&der).ok_or_else(|| self.wrong("no certificate in DER"))?;
        match first.len() == der.len() || self.label == "TRUSTED CERTIFICATE" {
            true => Ok(CertificateDer::from(first.to_vec())),
            false => Err(self.wrong("something behind its certificate")),
        }
    }

    /// The block as every reader takes it.
    fn normal(&self, label: &str) -> Vec<u8> {
        let head = format!("-----BEGIN {label}-----\n");
        let tail = format!("\n-----END {label}-----\n");
        [head.as_bytes(), &self.base64, tail.as_bytes()].concat()
    }

    fn name(&self) -> String {
        let (number, line) = (self.number, self.line);
        format!("block {number} (line {line}, {})", quoted(&self.label))
    }

    fn wrong(&self, found: &str) -> String {
        format!("{}: found {found}", self.name())
    }

    fn passed_over(&self, why: &str) -> String {
        format!("{} is passed over: {why}", self.name())
    }
}

fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

/// All blocks of a file, and what only looks like one.
fn blocks(file: &[u8]) -> Result<(Vec<Block>, Vec<String>), String> {
    if let Some(words) = other_encoding(file) {
        return Err(format!("expected PEM, found {words}"));
    }
    let (mut blocks, mut passed_over) = (Vec::new(), Vec::new());
    let (mut rest, mut at, mut number) = (file, 0, 0);
    while let Some(begin) = find(rest, BEGIN) {
        number += 1;
        let line = 1 + lines(&file[..at + begin]);
        let place = format!("block {number} (line {line})");
        let body = begin + BEGIN.len();
        if !is_start(&rest[..begin]) {
            let why = "something stands before its BEGIN in the line";
            passed_over.push(format!("{place} is passed over: {why}"));
            (rest, at) = (&rest[body..], at + body);
            continue;
        }
        let (label, text) = label(&rest[body..])
            .ok_or_else(|| format!("{place}: expected a BEGIN that ends in -----, found none"))?;
        let shown = quoted(&label);
        let end = find(text, END)
            .ok_or_else(|| format!("{place}: expected END behind BEGIN {shown}, found none"))?;
        if find(&text[..end], BEGIN).is_some() {
            return Err(format!(
                "{place}: expected END behind BEGIN {shown}, found another BEGIN"
            ));
        }
        let (other, behind) = self::label(&text[end + END.len()..])
            .ok_or_else(|| format!("{place}: expected an END that ends in -----, found none"))?;
        if other != label {
            let other = quoted(&other);
            return Err(format!("{place}: expected END of {shown}, found {other}"));
        }
        let (base64, is_encrypted) = body_of(&text[..end]);
        blocks.push(Block {
            number,
            line,
            label,
            base64,
            is_encrypted,
        });
        at = file.len() - behind.len();
        rest = behind;
    }
    Ok((blocks, passed_over))
}

/// What a file is that is no text in ASCII or UTF-8.
fn other_encoding(file: &[u8]) -> Option<&'static str> {
    match file {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16: save it as ASCII or UTF-8"),
        [0x30, 0x80..=0x84, ..] => Some("DER: openssl x509 -inform der (or pkey) makes PEM of it"),
        _ => None,
    }
}

/// Whether a block may begin behind this: at the start of the file, of a line, or right behind another block.
fn is_start(before: &[u8]) -> bool {
    let line = before
        .rsplit(|byte| *byte == b'\n' || *byte == b'\r')
        .next();
    let mut line = line.unwrap_or_default();
    loop {
        line = line.trim_ascii_start();
        match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => line = rest,
            None => return line.is_empty(),
        }
    }
}

/// The label before the dashes, and what stands behind them.
fn label(text: &[u8]) -> Option<(String, &[u8])> {
    let end = find(text, DASHES)?;
    let label = &text[..end];
    let is_one = label.iter().all(|byte| (b' '..=b'~').contains(byte));
    let label = String::from_utf8_lossy(label.trim_ascii()).into_owned();
    is_one.then(|| (label, &text[end + DASHES.len()..]))
}

/// The base64 of a block, and whether a header says that it is encrypted.
fn body_of(text: &[u8]) -> (Vec<u8>, bool) {
    let mut base64 = Vec::with_capacity(text.len());
    let mut is_encrypted = false;
    for line in text.split(|byte| *byte == b'\n' || *byte == b'\r') {
        // No base64 has a colon, every header has (RFC 1421 section 4.6).
        if line.contains(&b':') {
            is_encrypted |= line.trim_ascii_end().ends_with(b"ENCRYPTED");
        } else {
            base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    (base64, is_encrypted)
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
