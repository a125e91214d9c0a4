//! Unary gRPC calls: HTTP/2 with prior knowledge, four connections with sixteen calls at once on each in the closed loop; in the
//! open loop as many as are due. A call is good when its trailers say status 0.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::{
    io::unix::AsyncFd,
    net::TcpStream,
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    generator::Tally,
    meter::{Cell, Meter, Parties},
    pace::{self, Pacer},
};

/// Connections of the caller.
const CONNECTIONS: usize = 4;
/// Calls at once on each in the closed loop.
const CALLS: usize = 16;
/// More calls than this under way mean that the rate is out of reach.
const UNDER_WAY_MAX: usize = 4_096;
/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Requests a second of the open loop.
pub const RATE: u32 = 2_000;
/// Not compressed, 128 bytes long.
const MESSAGE: &[u8] = &{
    let mut message = [b'm'; 133];
    message[0] = 0;
    message[1] = 0;
    message[2] = 0;
    message[3] = 0;
    message[4] = 128;
    message
};

/// One contender's gRPC in one round.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// In a closed loop.
    pub saturation: Cell,
    /// At [`RATE`].
    pub paced: Cell,
}

/// Measures both loops.
///
/// # Errors
/// When no connection is to be had.
pub fn measure(target: SocketAddr, parties: &Parties, warm: Duration, length: Duration) -> Result<Grpc> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = |rate| LocalSet::new().block_on(&runtime, cell(target, parties, rate, warm, length));
    Ok(Grpc { saturation: run(None)?, paced: run(Some(RATE))? })
}

struct Shared {
    tally: RefCell<Tally>,
    under_way: RefCell<usize>,
    /// Whether a failure was shown.
    failed: RefCell<bool>,
}

async fn cell(
    target: SocketAddr,
    parties: &Parties,
    rate: Option<u32>,
    warm: Duration,
    length: Duration,
) -> Result<Cell> {
    let shared =
        Rc::new(Shared { tally: RefCell::new(Tally::new()?), under_way: RefCell::new(0), failed: RefCell::new(false) });
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await.context("HTTP/2's handshake")?;
        spawn_local(connection);
        connections.push(sender);
    }
    match rate {
        None => {
            for sender in connections.iter().flat_map(|sender| std::iter::repeat_n(sender, CALLS)) {
                spawn_local(again_and_again(sender.clone(), Rc::clone(&shared)));
            }
        }
        Some(rate) => drop(spawn_local(on_schedule(connections, Pacer::start(rate)?, Rc::clone(&shared)))),
    }
    sleep(warm).await;
    let warming = shared.tally.replace(Tally::new()?);
    let meter = Meter::start(parties);
    let begun = pace::now();
    sleep(length).await;
    let mut tally = shared.tally.replace(Tally::new()?);
    tally.nanoseconds = pace::now() - begun;
    let cost = meter.stop();
    Ok(Cell { tally, errors_beside: warming.errors, cost })
}

async fn again_and_again(sender: SendRequest<Bytes>, shared: Rc<Shared>) {
    loop {
        if !one(sender.clone(), pace::now(), &shared).await {
            // A caller that fails tries again, but does not spin on a connection that is gone.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn on_schedule(connections: Vec<SendRequest<Bytes>>, mut pacer: Pacer, shared: Rc<Shared>) {
    #[expect(deprecated, reason = "its successor is unsafe; this descriptor is owned here and never replaced")]
    let Ok(timer) = pacer.timer_copy().and_then(AsyncFd::new) else { return };
    let mut senders = connections.iter().cycle();
    loop {
        let Ok(mut ready) = timer.readable().await else { return };
        pacer.acknowledge();
        ready.clear_ready();
        while let (Some(due), Some(sender)) = (pacer.due(pace::now()), senders.next()) {
            if *shared.under_way.borrow() >= UNDER_WAY_MAX {
                shared.tally.borrow_mut().errors += 1;
                continue;
            }
            *shared.under_way.borrow_mut() += 1;
            let (sender, shared) = (sender.clone(), Rc::clone(&shared));
            spawn_local(async move {
                one(sender, due, &shared).await;
                *shared.under_way.borrow_mut() -= 1;
            });
        }
    }
}

/// Makes a call and counts it. False when it failed.
async fn one(sender: SendRequest<Bytes>, due: u64, shared: &Shared) -> bool {
    let failure = match timeout(LIMIT, call(sender)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some(format!("no answer within {LIMIT:?}")),
    };
    let good = failure.is_none();
    // The first one tells what to look for; the others are counted.
    if let Some(failure) = failure
        && !shared.failed.replace(true)
    {
        eprintln!("a gRPC call failed: {failure}");
    }
    let mut tally = shared.tally.borrow_mut();
    if good {
        tally.good(pace::now().saturating_sub(due));
    } else {
        tally.errors += 1;
    }
    good
}

async fn call(sender: SendRequest<Bytes>) -> Result<()> {
    let request = Request::post("http://bench/bench.Bench/Call")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(Bytes::from_static(MESSAGE), true)?;
    let (head, mut content) = answer.await?.into_parts();
    // A status in the head is an answer of the proxy's own, and says why.
    ensure!(head.status == 200 && !head.headers.contains_key("grpc-status"), "{} {:?}", head.status, head.headers);
    let mut bytes = 0;
    while let Some(data) = content.data().await {
        let data = data?;
        bytes += data.len();
        content.flow_control().release_capacity(data.len())?;
    }
    let trailers = content.trailers().await?.context("no trailers")?;
    let status = trailers.get("grpc-status");
    ensure!(bytes == MESSAGE.len() && status.is_some_and(|status| status == "0"), "{bytes} bytes and {trailers:?}");
    Ok(())
}
