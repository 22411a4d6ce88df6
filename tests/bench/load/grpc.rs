//! gRPC: one call at a time on each connection.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

use super::{
    arrivals::Arrivals,
    outcome::{Outcome, Tally},
    plan::Plan,
};

/// Carries out `plan`.
pub(crate) fn run(plan: &Plan, closed: Arc<AtomicBool>) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let message = framed(&plan.body()?);
    let left = Rc::new(Cell::new(plan.requests));
    let calls = tokio::task::LocalSet::new();
    let tally = runtime.block_on(calls.run_until(async {
        let mut clients = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            clients.push(connect(plan).await?);
        }
        // Nothing is due before all are connected.
        let tally = Rc::new(RefCell::new(Tally::start(plan, closed)?));
        let arrivals = Rc::new(RefCell::new(Arrivals::of(plan)));
        let callers: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let tally = Rc::clone(&tally);
                let shared = (tally, Rc::clone(&left), Rc::clone(&arrivals));
                tokio::task::spawn_local(call(plan.clone(), client, message.clone(), shared))
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        anyhow::Ok(tally)
    }))?;
    let tally = Rc::into_inner(tally).context("a caller is still there")?;
    Ok(tally.into_inner().outcome())
}

/// The message behind gRPC's prefix: not compressed, and its length.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// What callers share: what came of it, how many requests are left, and when
/// they are due.
type Shared = (
    Rc<RefCell<Tally>>,
    Rc<Cell<u64>>,
    Rc<RefCell<Option<Arrivals>>>,
);

async fn connect(plan: &Plan) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = plan.way().connect()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .handshake(stream)
        .await?;
    // Ends with the runtime.
    tokio::spawn(connection);
    Ok(client)
}

async fn call(
    plan: Plan,
    mut client: SendRequest<Bytes>,
    message: Bytes,
    (tally, left, arrivals): Shared,
) -> anyhow::Result<()> {
    let until = tally.borrow().until();
    while !tally.borrow().is_over() && left.get() > 0 {
        left.set(left.get() - 1);
        let mut start = Instant::now();
        let due = arrivals.borrow_mut().as_mut().map(Arrivals::take);
        if let Some(due) = due {
            let is_held_back = due < start;
            tokio::time::sleep_until(due.min(until).into()).await;
            let now = Instant::now();
            tally
                .borrow_mut()
                .sent(now, now.saturating_duration_since(due));
            // The timer's own lateness is not the server's; a wait for a free
            // connection is.
            start = if is_held_back { due } else { now };
        }
        let called = tokio::time::timeout_at(until.into(), one(&plan, &mut client, &message)).await;
        let Ok(called) = called else {
            break;
        };
        let now = Instant::now();
        match called {
            Ok((status, body)) => tally.borrow_mut().answer(now, now - start, status, &body),
            Err(error) => {
                tally.borrow_mut().failure(&format!("{error:#}"));
                // A connection that fails at once must not become a spin.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// One call: its status, 200 for gRPC's 0, and its message.
async fn one(
    plan: &Plan,
    client: &mut SendRequest<Bytes>,
    message: &Bytes,
) -> anyhow::Result<(u16, Bytes)> {
    let mut request = Request::post(format!("http://{}{}", plan.target, plan.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in &plan.headers {
        request = request.header(name, value);
    }
    let mut ready = client.clone().ready().await?;
    let (answer, mut body) = ready.send_request(request.body(())?, false)?;
    body.send_data(message.clone(), true)?;
    let (head, mut body) = answer.await?.into_parts();
    if head.status != 200 {
        bail!("HTTP status {}", head.status);
    }
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        received.extend_from_slice(&part);
    }
    let trailers = body.trailers().await?;
    let status = trailers
        .as_ref()
        .unwrap_or(&head.headers)
        .get("grpc-status")
        .context("no grpc-status")?;
    let status: u16 = status.to_str()?.parse()?;
    let message = received.freeze();
    Ok(match status {
        0 if message.len() >= 5 => (200, message.slice(5..)),
        0 => bail!("an answer without a message"),
        refused => (refused, Bytes::new()),
    })
}
