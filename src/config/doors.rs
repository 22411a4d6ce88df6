//! Settings of the way in: TLS, keys, browsers, the port of management.

use std::{net::SocketAddr, path::PathBuf};

use super::{Problem, Source};
use crate::transport::doors::Origins;

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doors {
    /// The certificate that callers are shown, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// Who signs the certificates that callers must have, as PEM.
    pub tls_client_ca: Option<PathBuf>,
    /// The file of keys.
    pub api_keys: Option<PathBuf>,
    /// The origins whose pages may read answers.
    pub origins: Option<Origins>,
    /// The address of the port for health, the figures and control.
    pub management: Option<SocketAddr>,
    /// The most connections at once.
    pub max_connections: Option<usize>,
}

impl Doors {
    /// What is wrong with the settings together.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let pairs = [
            (
                "tls-key",
                self.tls_key.is_some(),
                "tls-cert",
                self.tls_cert.is_some(),
            ),
            (
                "tls-cert",
                self.tls_cert.is_some(),
                "tls-key",
                self.tls_key.is_some(),
            ),
            (
                "tls-client-ca",
                self.tls_client_ca.is_some(),
                "tls-cert",
                self.tls_cert.is_some(),
            ),
        ];
        let lonely = pairs.into_iter().filter(|(_, is, _, other)| *is && !other);
        lonely
            .map(|(name, _, other, _)| Problem {
                from: Source::Flag(name.to_owned()),
                message: format!("this needs the setting {other} as well"),
            })
            .collect()
    }
}

/// `*`, or origins with commas between them.
pub(super) fn origins(text: &str) -> Result<Origins, String> {
    if text == "*" {
        return Ok(Origins::Any);
    }
    let one = |text: &str| {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or_default();
        let plain =
            |b: u8| b.is_ascii_graphic() && !b"/?#@*".contains(&b) && !b.is_ascii_uppercase();
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(format!(
                "\"{text}\" is not an origin: write it as a browser does, such as \
                 https://app.example.com or http://localhost:3000, or * for all"
            ));
        }
        Ok(text.to_owned())
    };
    let all: Result<_, _> = text.split(',').map(str::trim).map(one).collect();
    Ok(Origins::Named(all?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_do() {
        assert_eq!(origins("*"), Ok(Origins::Any));
        let two = vec![
            "https://a.example".to_owned(),
            "http://localhost:3000".to_owned(),
        ];
        assert_eq!(
            origins("https://a.example, http://localhost:3000"),
            Ok(Origins::Named(two))
        );
        for text in [
            "",
            "a.example",
            "https://",
            "https://a/",
            "https://*.a",
            "HTTPS://a",
            "https://a,",
        ] {
            let message = origins(text).unwrap_err();
            assert!(message.contains("is not an origin"), "{text}: {message}");
        }
    }

    #[test]
    fn settings_that_need_another_name_it() {
        let doors = Doors {
            tls_client_ca: Some("ca.pem".into()),
            tls_cert: Some("cert.pem".into()),
            ..Doors::default()
        };
        let found: Vec<_> = doors.problems().iter().map(Problem::to_string).collect();
        assert_eq!(
            found,
            ["--tls-cert: this needs the setting tls-key as well"]
        );
        assert_eq!(Doors::default().problems(), []);
    }
}
