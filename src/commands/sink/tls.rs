//! The receiving side of TLS: one configuration from a certificate and a key in PEM files.
//!
//! Not here: certificates of others (`io/tls` verifies them).

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::io::log::quoted;

/// TLS 1.2 and 1.3, HTTP/1.1 by ALPN, sessions resumed by tickets.
pub(super) fn server_config(certificates: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| at(certificates, &error))?;
    if chain.is_empty() {
        return Err(at(certificates, &"no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| at(key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

fn at(path: &Path, error: &dyn Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("--tls: {}: {error}", quoted(&path.to_string_lossy())),
    )
}
