//! Answers that do not end: how soon the first event is there, how soon the upstream learns that the caller has gone, and
//! what it takes to hold thousands of them while nothing happens.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::{contender::Contender, generator::Tally, meter::Meter, meter::Parties, pace, processes};

/// More time than anything here takes where all is well.
const LIMIT: Duration = Duration::from_secs(2);

/// So many ends that the upstream did not hear of are enough to know.
const LOST_MAX: u64 = 3;

/// How streams begin and end.
#[derive(Debug, Clone)]
pub struct Streams {
    /// From the request to the first event, in nanoseconds.
    pub first: Histogram<u64>,
    /// From the caller's close to the upstream's end, in nanoseconds.
    pub cancel: Histogram<u64>,
    /// Streams that broke, and ends that the upstream never heard of.
    pub errors: u64,
}

/// What held streams cost.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The contender.
    pub name: &'static str,
    /// How many were held.
    pub streams: usize,
    /// How many could not be opened.
    pub errors: usize,
    /// Memory for each, in KiB, resident and proportional.
    pub rss_kib: f64,
    /// The same, without counting shared pages more than once.
    pub pss_kib: f64,
    /// Processor time while nothing happens, in percent of one core.
    pub idle_cpu: f64,
}

/// Opens `first` streams that end by themselves, and `cancelled` that the caller leaves.
///
/// # Errors
/// When the contender does not accept connections any more.
pub fn measure(target: SocketAddr, first: usize, cancelled: usize) -> Result<Streams> {
    let empty = Tally::new()?.latency;
    let mut streams = Streams { first: empty.clone(), cancel: empty, errors: 0 };
    let mut caller = Caller::connect(target)?;
    for _ in 0..first {
        match caller.whole() {
            Ok(latency) => streams.first.saturating_record(latency),
            Err(_) => {
                streams.errors += 1;
                caller = Caller::connect(target)?;
            }
        }
    }
    let ends = UdpSocket::bind("127.0.0.1:0")?;
    ends.set_read_timeout(Some(LIMIT))?;
    let mut lost = 0;
    for _ in 0..cancelled {
        match left(target, &ends) {
            Ok(latency) => streams.cancel.saturating_record(latency),
            Err(_) => lost += 1,
        }
        // One that does not tell the upstream will not do so the next time, and each takes a wait.
        if lost >= LOST_MAX {
            break;
        }
    }
    streams.errors += lost;
    Ok(streams)
}

fn left(target: SocketAddr, ends: &UdpSocket) -> Result<u64> {
    let mut caller = Caller::connect(target)?;
    caller.ask("/stream/hold", Some(ends.local_addr()?))?;
    let gone = pace::now();
    drop(caller);
    let mut time = [0; 8];
    ends.recv(&mut time).context("the upstream was not told")?;
    Ok(u64::from_be_bytes(time).saturating_sub(gone))
}

/// Opens so many streams at a contender that has just started, and holds them.
///
/// # Errors
/// When the contender is gone.
pub fn hold(contender: &Contender, count: usize) -> Result<Held> {
    // What is used from the first request on is no stream's memory.
    measure(contender.http, 10, 10)?;
    let parties = Parties { contender: contender.pids(), beside: Vec::new() };
    let before = processes::memory(&parties.contender);
    let mut held = Vec::with_capacity(count);
    let mut errors = 0;
    for _ in 0..count {
        match Caller::connect(contender.http).and_then(|mut caller| caller.ask("/stream/hold", None).map(|_| caller)) {
            Ok(caller) => held.push(caller.stream),
            Err(_) => errors += 1,
        }
        // A contender that takes no more will not take the rest either, and each of them costs a wait.
        ensure!(errors < 20, "{} refused {errors} streams after {}", contender.name, held.len());
    }
    let after = processes::memory(&parties.contender);
    let meter = Meter::start(&parties);
    thread::park_timeout(Duration::from_secs(1));
    let idle_cpu = meter.stop().cpu * 100.0;
    let each = |before: f64, after: f64| (after - before) * 1024.0 / held.len().max(1) as f64;
    Ok(Held {
        name: contender.name,
        streams: held.len(),
        errors,
        rss_kib: each(before.rss_mib, after.rss_mib),
        pss_kib: each(before.pss_mib, after.pss_mib),
        idle_cpu,
    })
}

struct Caller {
    stream: TcpStream,
    target: SocketAddr,
    received: Vec<u8>,
}

impl Caller {
    fn connect(target: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&target, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream, target, received: Vec::new() })
    }

    /// A stream from its request to its end; says when the first event came.
    fn whole(&mut self) -> Result<u64> {
        let latency = self.ask("/stream/first", None)?;
        self.read_until(b"\r\n0\r\n\r\n")?;
        self.received.clear();
        Ok(latency)
    }

    /// Asks, and waits for the first event: says how long that took.
    fn ask(&mut self, path: &str, tell: Option<SocketAddr>) -> Result<u64> {
        let tell = tell.map(|address| format!("x-tell: {address}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{tell}\r\n", self.target);
        let asked = pace::now();
        self.stream.write_all(request.as_bytes())?;
        self.read_until(b"data:")?;
        Ok(pace::now() - asked)
    }

    fn read_until(&mut self, what: &[u8]) -> Result<()> {
        let mut buffer = [0; 2048];
        while !self.received.windows(what.len()).any(|window| window == what) {
            let read = self.stream.read(&mut buffer)?;
            ensure!(read > 0 && self.received.len() < 64 * 1024, "the stream broke");
            self.received.extend_from_slice(&buffer[..read]);
        }
        Ok(())
    }
}
