//! A private certificate authority, and certificates good and bad, made with openssl.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{TempDir, is_installed};

/// An authority in a directory of its own.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: TempDir,
}

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) chain: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Names that the servers of these tests are asked by.
pub(crate) const OWN_NAMES: &str = "DNS:localhost,IP:127.0.0.1";

const VALID: [&str; 4] = [
    "-startdate",
    "20200101000000Z",
    "-enddate",
    "20991231000000Z",
];
const EXPIRED: [&str; 4] = [
    "-startdate",
    "20200101000000Z",
    "-enddate",
    "20210101000000Z",
];
const EARLY: [&str; 4] = [
    "-startdate",
    "20980101000000Z",
    "-enddate",
    "20991231000000Z",
];

/// What `openssl` is told in files: as little as it takes, so that no file of the machine plays a part.
const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = conduit tests
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
subjectAltName = ${ENV::SAN}
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
";

impl Authority {
    /// A new one; none where openssl is not installed.
    pub(crate) fn new() -> Option<Authority> {
        if !is_installed("openssl", "openssl") {
            return None;
        }
        let authority = Authority {
            dir: TempDir::new(),
        };
        authority.dir.write("openssl.cnf", CONFIG);
        authority.dir.write("index.txt", "");
        authority.self_sign("ca", OWN_NAMES, "authority");
        Some(authority)
    }

    /// The file for `--ca-file`.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A certificate of this authority for these names (`DNS:…,IP:…`).
    pub(crate) fn certificate(&self, name: &str, names: &str) -> Certificate {
        self.issue(name, names, VALID)
    }

    /// One that was good until 2021.
    pub(crate) fn expired(&self) -> Certificate {
        self.issue("expired", OWN_NAMES, EXPIRED)
    }

    /// One that will be good from 2098 on.
    pub(crate) fn early(&self) -> Certificate {
        self.issue("early", OWN_NAMES, EARLY)
    }

    /// One that only itself vouches for.
    pub(crate) fn self_signed(&self) -> Certificate {
        self.self_sign("self-signed", OWN_NAMES, "leaf")
    }

    fn issue(&self, name: &str, names: &str, dates: [&str; 4]) -> Certificate {
        let certificate = self.files(name);
        let request = format!("{name}.csr");
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-new", "-subj", &subject, "-out", &request];
        let (chain, key) = (format!("{name}.crt"), format!("{name}.key"));
        arguments.extend(["-keyout", &key]);
        self.openssl(names, &arguments, &NEW_KEY);
        arguments = vec!["ca", "-batch", "-notext", "-cert", "ca.crt", "-keyfile"];
        arguments.extend(["ca.key", "-extensions", "leaf", "-in", &request, "-out"]);
        arguments.push(&chain);
        self.openssl(names, &arguments, &dates);
        certificate
    }

    fn self_sign(&self, name: &str, names: &str, extensions: &str) -> Certificate {
        let (chain, key) = (format!("{name}.crt"), format!("{name}.key"));
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-subj", &subject, "-days", "3650"];
        arguments.extend(["-extensions", extensions]);
        arguments.extend(["-out", &chain, "-keyout", &key]);
        self.openssl(names, &arguments, &NEW_KEY);
        self.files(name)
    }

    fn files(&self, name: &str) -> Certificate {
        Certificate {
            chain: self.dir.join(&format!("{name}.crt")),
            key: self.dir.join(&format!("{name}.key")),
        }
    }

    fn openssl(&self, names: &str, arguments: &[&str], more: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .args(more)
            .args(["-config", "openssl.cnf"])
            .env("SAN", names)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];
