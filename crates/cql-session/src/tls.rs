//! Encrypted connections to the cluster, in builds with the feature `cql-tls`.

use std::path::PathBuf;

use scylla::client::session_builder::SessionBuilder;

use crate::connect_error::ConnectError;

#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificates that sign those of the nodes, in PEM.
    pub authority: PathBuf,
}

#[cfg(not(feature = "cql-tls"))]
pub(crate) fn with(
    builder: SessionBuilder,
    tls: Option<&TlsSettings>,
) -> Result<SessionBuilder, ConnectError> {
    let without = "this build has no TLS for clusters: build with `--features cql-tls`";
    tls.map_or(Ok(builder), |_| Err(ConnectError::Setting(without.into())))
}

#[cfg(feature = "cql-tls")]
pub(crate) fn with(
    builder: SessionBuilder,
    tls: Option<&TlsSettings>,
) -> Result<SessionBuilder, ConnectError> {
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let Some(tls) = tls else { return Ok(builder) };
    let bad = |why: &dyn std::fmt::Display| {
        ConnectError::Setting(format!("{}: {why}", tls.authority.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&tls.authority).map_err(|why| bad(&why))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|why| bad(&why))?;
        roots.add(certificate).map_err(|why| bad(&why))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| bad(&why))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(builder.tls_context(Some(Arc::new(config))))
}
