//! TLS: certificate and key, and who signs callers' certificates, from files
//! that may be renewed while connections go on.

mod certificate;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::doors::renew::{Files, Mistake};
use crate::telemetry::{Metrics, Renewed};

/// The files that TLS needs, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The certificate, and those that lead from it to a root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Who signs the certificates that callers must have; without it, callers
    /// need none.
    pub client_ca: Option<PathBuf>,
}

/// What connections are accepted by. A renewed certificate is taken by the
/// connections that come after; those that stand are left alone.
pub struct Tls {
    paths: Paths,
    now: ArcSwap<ServerConfig>,
    metrics: Metrics,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence that names the file.
    pub fn open(paths: Paths, metrics: Metrics) -> Result<Arc<Self>, Mistake> {
        let all = all(&paths);
        let contents = all
            .iter()
            .map(|path| std::fs::read(path).map_err(|e| Mistake::unreadable(path, &e)))
            .collect::<Result<Vec<_>, _>>()?;
        let (config, expires) = read(&paths, &contents)?;
        metrics.doors().certificate_expires(expires);
        Ok(Arc::new(Self {
            paths,
            now: ArcSwap::new(config),
            metrics,
        }))
    }

    /// What the next connection is accepted by.
    pub(super) fn now(&self) -> Arc<ServerConfig> {
        self.now.load_full()
    }
}

impl Files for Tls {
    fn what(&self) -> Renewed {
        Renewed::Certificate
    }

    fn paths(&self) -> Vec<&Path> {
        all(&self.paths)
    }

    fn take(&self, contents: &[Vec<u8>]) -> Result<(), Mistake> {
        let (config, expires) = read(&self.paths, contents)?;
        self.now.store(config);
        self.metrics.doors().certificate_expires(expires);
        Ok(())
    }
}

fn all(paths: &Paths) -> Vec<&Path> {
    let ca = paths.client_ca.as_deref();
    [&*paths.certificate, &*paths.key]
        .into_iter()
        .chain(ca)
        .collect()
}

/// What the contents of [`all`] give, and when the certificate ends.
fn read(paths: &Paths, contents: &[Vec<u8>]) -> Result<(Arc<ServerConfig>, u64), Mistake> {
    let [certificate, key, ca @ ..] = contents else {
        return Err(Mistake::new("a file is missing"));
    };
    let chain = certificates(&paths.certificate, certificate)?;
    let expires = certificate::expires(&chain[0]).map_err(|e| {
        Mistake::of(
            &paths.certificate,
            format!("the first certificate can't be read: {e}"),
        )
    })?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| {
        let why = match e {
            pem::Error::NoItemsFound => {
                "it holds no private key in PEM that is not encrypted".to_owned()
            }
            e => format!("it is not PEM: {e}"),
        };
        Mistake::of(&paths.key, why)
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Mistake::new(format!("TLS can't be had: {e}")))?;
    let builder = match (ca, &paths.client_ca) {
        ([ca], Some(path)) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path, ca)? {
                roots.add(root).map_err(|e| {
                    Mistake::of(path, format!("a certificate can't sign callers': {e}"))
                })?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                    .build()
                    .map_err(|e| Mistake::of(path, e.to_string()))?;
            versions.with_client_cert_verifier(verifier)
        }
        _ => versions.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| {
        let (certificate, key) = (paths.certificate.display(), paths.key.display());
        Mistake::new(format!(
            "the certificate in {certificate} and the key in {key} are not a pair: {e}"
        ))
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Callers who come again need no signature; the tickets end with this
    // configuration, and so with the certificates that they were given under.
    config.ticketer =
        aws_lc_rs::Ticketer::new().map_err(|e| Mistake::new(format!("TLS can't be had: {e}")))?;
    Ok((Arc::new(config), expires))
}

/// One or more certificates.
fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let all = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Mistake::of(path, format!("it is not PEM: {e}")))?;
    if all.is_empty() {
        return Err(Mistake::of(path, "it holds no certificate in PEM"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
