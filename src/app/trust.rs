//! Whose signatures on models count, from files that may be renewed.

use std::{path::Path, sync::Arc};

use crate::{
    repository::signature::{Signers, Trust, TrustError, Trusted},
    telemetry::Renewed,
    transport::doors::renew::{Files, Mistake},
};

/// The files of those who are trusted, which are followed for as long as this
/// lives.
pub(super) struct Followed {
    signers: Signers,
    trusted: Trusted,
}

impl Followed {
    /// Reads the files that `signers` name.
    pub(super) fn new(signers: Signers) -> Result<Arc<Self>, TrustError> {
        let trusted = Trusted::new(Trust::load(&signers)?);
        Ok(Arc::new(Self { signers, trusted }))
    }

    /// Whose signatures count now, and after each renewal.
    pub(super) fn trusted(&self) -> Trusted {
        self.trusted.clone()
    }
}

impl Files for Followed {
    fn what(&self) -> Renewed {
        Renewed::Trust
    }

    fn paths(&self) -> Vec<&Path> {
        self.signers.files().collect()
    }

    /// The files are read again rather than taken from the contents: where one
    /// has changed since, the next look finds that.
    fn take(&self, _: &[Vec<u8>]) -> Result<(), Mistake> {
        let trust = Trust::load(&self.signers).map_err(|e| Mistake::new(e.to_string()))?;
        self.trusted.renew(trust);
        Ok(())
    }
}
