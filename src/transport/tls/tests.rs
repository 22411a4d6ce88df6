//! What may stand in the files, and the sentence where it may not.

use std::fs;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::telemetry::BuildInfo;

/// A certificate and its key, as PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2101, 2, 3);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn open(certificate: &str, key: &str, ca: Option<&str>) -> Result<Arc<Tls>, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let paths = Paths {
        certificate: write("cert.pem", certificate),
        key: write("key.pem", key),
        client_ca: ca.map(|ca| write("ca.pem", ca)),
    };
    Tls::open(paths, metrics()).map_err(|e| e.to_string())
}

fn metrics() -> Metrics {
    Metrics::new(BuildInfo {
        version: "v0".to_owned(),
        commit: String::new(),
    })
}

#[test]
fn a_pair_is_taken_and_its_end_shown() {
    let (certificate, key) = pair();
    let tls = open(&certificate, &key, Some(&certificate)).unwrap();
    let shown = tls.metrics.encode();
    let line = "modelship_tls_certificate_expiry_timestamp_seconds 4136832000";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn what_is_wrong_names_the_file() {
    let (certificate, key) = pair();
    let (_, other) = pair();
    for (certificate, key, ca, named, why) in [
        ("", &*key, None, "cert.pem", "holds no certificate"),
        (&*certificate, "", None, "key.pem", "holds no private key"),
        (&key, &key, None, "cert.pem", "holds no certificate"),
        (&certificate, &other, None, "key.pem", "are not a pair"),
        (
            &certificate,
            &key,
            Some("x"),
            "ca.pem",
            "holds no certificate",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            None,
            "cert.pem",
            "can't be read",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            &key,
            None,
            "cert.pem",
            "not PEM",
        ),
    ] {
        let message = open(certificate, key, ca).err().unwrap();
        assert!(
            message.contains(named) && message.contains(why),
            "{message}"
        );
    }
}
