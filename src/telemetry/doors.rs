//! The figures of the way in: certificates, keys, handshakes, connections.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{self, Relaxed},
};

/// What is read again when its files change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The certificate, its key, and the certificates of those who sign
    /// callers'.
    Certificate,
    /// The file of keys.
    Keys,
    /// The files of whose signatures on models count.
    Trust,
}

impl Renewed {
    pub(super) const ALL: [Renewed; 3] = [Renewed::Certificate, Renewed::Keys, Renewed::Trust];

    /// As a metric label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Renewed::Certificate => "certificate",
            Renewed::Keys => "api_keys",
            Renewed::Trust => "trust",
        }
    }
}

/// The figures of the way in.
#[derive(Debug, Default)]
pub struct Doors {
    /// Seconds since 1970; 0 without TLS.
    expires: AtomicU64,
    renewals: [Outcomes; 3],
    handshakes: Outcomes,
    connections: AtomicU64,
    turned_away: AtomicU64,
    cut: AtomicU64,
}

/// What went well, and what did not.
#[derive(Debug, Default)]
pub(super) struct Outcomes([AtomicU64; 2]);

impl Outcomes {
    fn count(&self, well: bool) {
        self.0[usize::from(well)].fetch_add(1, Relaxed);
    }

    /// By the label of the outcome.
    pub(super) fn read(&self) -> [(&'static str, u64); 2] {
        let [failed, succeeded] = &self.0;
        [
            ("success", succeeded.load(Relaxed)),
            ("failure", failed.load(Relaxed)),
        ]
    }
}

impl Doors {
    /// The certificate that is shown to callers ends at this second since
    /// 1970.
    pub fn certificate_expires(&self, second: u64) {
        self.expires.store(second, Relaxed);
    }

    /// Files that had changed were taken, or were not right.
    pub fn renewed(&self, what: Renewed, well: bool) {
        self.renewals[what as usize].count(well);
    }

    /// A TLS handshake has ended.
    pub fn shook_hands(&self, well: bool) {
        self.handshakes.count(well);
    }

    /// A connection was opened.
    pub fn opened(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// A connection was turned away: there were too many.
    pub fn turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    /// A connection or a stream was ended for being too slow.
    pub fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    pub(super) fn expires(&self) -> Option<u64> {
        Some(self.expires.load(Relaxed)).filter(|second| *second > 0)
    }

    pub(super) fn renewals(&self) -> impl Iterator<Item = (Renewed, &Outcomes)> {
        Renewed::ALL.into_iter().zip(&self.renewals)
    }

    pub(super) fn handshakes(&self) -> &Outcomes {
        &self.handshakes
    }

    /// Connections that are open, those turned away, and those cut.
    pub(super) fn connections(&self) -> (u64, u64, u64) {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (
            read(&self.connections),
            read(&self.turned_away),
            read(&self.cut),
        )
    }
}
