//! Work that gives way to the event loops.

/// How much this thread gives way: enough that an event loop with something
/// to do takes the processor at once.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets this thread, and all that it starts, give way to others of the
/// process. A model that takes milliseconds keeps the processors busy, and a
/// request that takes microseconds must not wait for its time slice to end.
/// It costs nothing where the processor is free.
#[cfg(target_os = "linux")]
pub fn give_way() {
    // On Linux this is about the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// Elsewhere a thread has no priority of its own.
#[cfg(not(target_os = "linux"))]
pub fn give_way() {}
