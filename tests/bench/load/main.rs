//! The benchmark's load: one request, sent over and over on a number of
//! connections, each answer checked.
//!
//! usage: load < PLAN.json
//!
//! A plan is one line of JSON ([`plan::Plan`]); the outcome ([`outcome::Outcome`]) is
//! written to standard output as JSON. Load goes to loopback addresses only,
//! and ends by itself.
//!
//! One thread, and for HTTP/1.1 no more than a write and a read for each
//! request: it shares the machine with the server that it measures.

mod answers;
mod arrivals;
mod grpc;
mod http1;
mod outcome;
mod plan;
mod processes;

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;

use self::plan::{Plan, Protocol};

fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text)?;
    let plan: Plan = serde_json::from_str(&text).context("standard input is not a plan")?;
    plan.check()?;
    let closed = Arc::new(AtomicBool::new(false));
    if plan.until_closed {
        let closed = Arc::clone(&closed);
        std::thread::spawn(move || {
            // Whatever else comes, or an error: it is over.
            let _ = std::io::stdin().read_line(&mut String::new());
            closed.store(true, Ordering::Relaxed);
        });
    }
    let outcome = match plan.protocol {
        Protocol::Http1 => http1::run(&plan, closed)?,
        Protocol::Grpc => grpc::run(&plan, closed)?,
    };
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &outcome)?;
    out.write_all(b"\n")?;
    Ok(())
}
