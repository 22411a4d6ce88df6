//! What the listener gives, and how it is closed without a loss.

use tokio::net::{TcpListener, TcpStream};

/// Keeps the kernel from accepting any more for `listener`: it drops their
/// first packet, so that their next try finds the port closed.
#[cfg(target_os = "linux")]
pub(super) fn refuse_new(listener: &TcpListener) {
    const RETURN: u16 = 0x06;
    const NOTHING: u32 = 0;
    let drop_all = socket2::SockFilter::new(RETURN, 0, 0, NOTHING);
    if let Err(error) = socket2::SockRef::from(listener).attach_filter(&[drop_all]) {
        tracing::debug!(%error, "connections that come now may be reset");
    }
}

/// Elsewhere there is no such means.
#[cfg(not(target_os = "linux"))]
pub(super) fn refuse_new(_: &TcpListener) {}

/// The next connection that is ready now.
pub(super) async fn ready(
    listener: &TcpListener,
) -> Option<std::io::Result<(TcpStream, std::net::SocketAddr)>> {
    tokio::select! {
        biased;
        accepted = listener.accept() => Some(accepted),
        () = std::future::ready(()) => None,
    }
}

/// Errors of `accept` that say nothing of the listener.
pub(super) fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    is_exhaustion(error)
        || matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        )
}

/// Out of descriptors or memory: EMFILE, ENFILE, ENOBUFS, ENOMEM.
pub(super) fn is_exhaustion(error: &std::io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOMEM: i32 = 12;
    let enobufs = if cfg!(target_os = "macos") { 55 } else { 105 };
    error
        .raw_os_error()
        .is_some_and(|code| [EMFILE, ENFILE, ENOMEM, enobufs].contains(&code))
}
