//! What a certificate says of itself.

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{self, Decode as _},
};

/// The second since 1970 at which `certificate` ends.
///
/// # Errors
/// When it is not a certificate.
pub(super) fn expires(certificate: &CertificateDer<'_>) -> der::Result<u64> {
    let certificate = Certificate::from_der(certificate)?;
    let end = certificate.tbs_certificate.validity.not_after;
    Ok(end.to_unix_duration().as_secs())
}
