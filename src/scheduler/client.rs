//! Whose request is being read: the address that a connection came from, while
//! one of its requests is polled.

use std::{
    cell::Cell,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

thread_local! {
    static CLIENT: Cell<Option<IpAddr>> = const { Cell::new(None) };
}

/// The client of the request that is being polled on this thread; `None`
/// where nobody said so.
pub fn current() -> Option<IpAddr> {
    CLIENT.get()
}

/// `inner`, which works for `client`: whatever it submits is the client's.
pub fn working_for<F>(client: Option<IpAddr>, inner: F) -> WorkingFor<F> {
    WorkingFor { inner, client }
}

pin_project! {
    /// See [`working_for`].
    pub struct WorkingFor<F> {
        #[pin]
        inner: F,
        client: Option<IpAddr>,
    }
}

impl<F: Future> Future for WorkingFor<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        CLIENT.set(*this.client);
        let polled = this.inner.poll(cx);
        CLIENT.set(None);
        polled
    }
}
