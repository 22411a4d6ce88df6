//! Whose request is being read: the address that a connection came from, while
//! one of its requests is polled.

use std::{cell::RefCell, net::IpAddr};

use crate::telemetry::scope;

thread_local! {
    static CLIENT: RefCell<Option<IpAddr>> = const { RefCell::new(None) };
}

/// See [`working_for`].
pub type WorkingFor<F> = scope::Within<F, IpAddr>;

/// The client of the request that is being polled on this thread; `None`
/// where nobody said so.
pub fn current() -> Option<IpAddr> {
    scope::current(&CLIENT)
}

/// `inner`, which works for `client`: whatever it submits is the client's.
pub fn working_for<F>(client: Option<IpAddr>, inner: F) -> WorkingFor<F> {
    scope::within(&CLIENT, client, inner)
}
