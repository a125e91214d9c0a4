//! The caller: connections that are kept, one thread, one epoll loop. Closed loop: each connection asks again as soon as it
//! is answered. Open loop: requests are due at fixed times whether or not earlier ones are answered, and wait for a free
//! connection if there is none; latency counts from the due time, so that a slow answer is not hidden by the requests
//! that it kept from being sent (coordinated omission).

use std::{
    collections::VecDeque,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventData, EventFlags},
};

use crate::{
    answer::{self, Answer},
    pace::{self, Pacer, SECOND},
};

/// More requests than this waiting for a connection mean that the rate is out of reach: further ones are errors.
const WAITING_MAX: usize = 20_000;
/// The event that is not a connection.
const TIMER: u64 = u64::MAX;
/// How long requests under way may take to end.
const REST: u64 = 2 * SECOND;

/// What was counted in a stretch of time.
#[derive(Clone)]
pub struct Tally {
    /// Good answers.
    pub answered: u64,
    /// Everything else.
    pub errors: u64,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
    /// Latencies of good answers in nanoseconds.
    pub latency: Histogram<u64>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the histogram: its thousands of empty buckets tell nobody anything.
        write!(f, "{} answered, {} errors in {} ns", self.answered, self.errors, self.nanoseconds)
    }
}

impl Tally {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// Never with these bounds.
    pub fn new() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1_000, 100 * SECOND, 3).context("bounds of the histogram")?;
        Ok(Self { answered: 0, errors: 0, nanoseconds: 0, latency })
    }

    /// Counts a good answer.
    pub fn good(&mut self, latency: u64) {
        self.answered += 1;
        self.latency.saturating_record(latency);
    }

    /// Good answers per second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 * SECOND as f64 / self.nanoseconds.max(1) as f64
    }

    /// A latency in microseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// When the request under way was due.
    due: Option<u64>,
}

/// The connections and what waits for them.
pub struct Generator {
    target: SocketAddr,
    request: Vec<u8>,
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    waiting: VecDeque<u64>,
    pacer: Option<Pacer>,
    tally: Tally,
}

impl Generator {
    /// Connects `connections` times. With a rate it is an open loop, without one a closed loop.
    ///
    /// # Errors
    /// When nobody listens there, or there are no file descriptors left.
    pub fn connect(target: SocketAddr, connections: usize, rate: Option<u32>) -> Result<Self> {
        let request = format!("GET /bench HTTP/1.1\r\nhost: {target}\r\naccept: */*\r\n\r\n").into_bytes();
        let mut generator = Self {
            target,
            request,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(connections),
            free: (0..connections).collect(),
            waiting: VecDeque::new(),
            pacer: None,
            tally: Tally::new()?,
        };
        for index in 0..connections {
            let stream = generator.dial(index)?;
            generator.connections.push(Connection { stream, received: Vec::with_capacity(4096), due: None });
        }
        if let Some(rate) = rate {
            let pacer = Pacer::start(rate)?;
            epoll::add(&generator.epoll, pacer.timer(), EventData::new_u64(TIMER), EventFlags::IN)?;
            generator.pacer = Some(pacer);
        }
        Ok(generator)
    }

    fn dial(&self, index: usize) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.target).with_context(|| format!("connecting to {}", self.target))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
        Ok(stream)
    }

    /// Goes on for so many nanoseconds and says what happened in them. Requests stay under way at the end, so that
    /// what comes next is measured in full flight.
    ///
    /// # Errors
    /// When the target does not accept connections any more.
    pub fn run(&mut self, nanoseconds: u64) -> Result<Tally> {
        let begun = pace::now();
        let until = begun + nanoseconds;
        self.tally = Tally::new()?;
        self.turns(until)?;
        self.tally.nanoseconds = pace::now() - begun;
        Ok(std::mem::replace(&mut self.tally, Tally::new()?))
    }

    /// Sends nothing more and waits for what is under way. What has no answer by then is an error.
    ///
    /// # Errors
    /// When the event loop fails.
    pub fn finish(mut self) -> Result<u64> {
        self.tally = Tally::new()?;
        self.pacer = None;
        self.waiting.clear();
        // A connection that becomes free stays so: nothing is due and this is no closed loop any more.
        let until = pace::now() + REST;
        let mut events = Vec::with_capacity(256);
        while self.connections.iter().any(|connection| connection.due.is_some()) && pace::now() < until {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pace::timespec(SECOND / 10)))?;
            for event in events.drain(..).filter(|event| event.data.u64() != TIMER) {
                self.receive(event.data.u64() as usize)?;
            }
        }
        let left = self.connections.iter().filter(|connection| connection.due.is_some()).count() as u64;
        Ok(self.tally.errors + left)
    }

    fn turns(&mut self, until: u64) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        self.dispatch()?;
        loop {
            let now = pace::now();
            if now >= until {
                return Ok(());
            }
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pace::timespec(until - now))) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result.context("waiting for events")?,
            };
            for event in events.drain(..) {
                match event.data.u64() {
                    TIMER => self.pacer.iter().for_each(Pacer::acknowledge),
                    index => self.receive(index as usize)?,
                }
            }
            self.dispatch()?;
        }
    }

    /// Sends what is to be sent now.
    fn dispatch(&mut self) -> Result<()> {
        let now = pace::now();
        if let Some(pacer) = &mut self.pacer {
            while let Some(due) = pacer.due(now) {
                if self.waiting.len() < WAITING_MAX {
                    self.waiting.push_back(due);
                } else {
                    self.tally.errors += 1;
                }
            }
            while !self.waiting.is_empty() {
                let Some(index) = self.free.pop_front() else { break };
                let due = self.waiting.pop_front().unwrap_or(now);
                self.send(index, due)?;
            }
        } else {
            while let Some(index) = self.free.pop_front() {
                self.send(index, pace::now())?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: u64) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = Some(due);
        match connection.stream.write(&self.request) {
            Ok(sent) if sent == self.request.len() => Ok(()),
            _ => self.broken(index),
        }
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let mut buffer = [0; 4096];
        let connection = &mut self.connections[index];
        let read = match connection.stream.read(&mut buffer) {
            Ok(0) => return self.broken(index),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(_) => return self.broken(index),
        };
        // Nearly always one read is one answer, which needs no copy.
        let answer = if connection.received.is_empty() {
            answer::read(&buffer[..read])
        } else {
            connection.received.extend_from_slice(&buffer[..read]);
            answer::read(&connection.received)
        };
        match (answer, connection.due) {
            (Answer::Partial, Some(_)) if connection.received.is_empty() => {
                connection.received.extend_from_slice(&buffer[..read]);
            }
            (Answer::Partial, Some(_)) => {}
            (Answer::Whole { bytes, good: true }, Some(due)) if bytes == connection.received.len().max(read) => {
                connection.received.clear();
                connection.due = None;
                self.tally.good(pace::now().saturating_sub(due));
                self.free.push_back(index);
            }
            _ => return self.broken(index),
        }
        Ok(())
    }

    /// Counts an error and puts a new connection in place of the old one. A connection that was closed while it was free
    /// is no error.
    fn broken(&mut self, index: usize) -> Result<()> {
        let was_free = self.connections[index].due.is_none();
        // Closing it takes it out of the epoll set as well: nothing else holds it.
        self.connections[index].stream = self.dial(index)?;
        self.connections[index].received.clear();
        self.connections[index].due = None;
        if !was_free {
            self.tally.errors += 1;
            self.free.push_back(index);
        }
        Ok(())
    }
}

/// Asks once, and says whether the answer was good.
///
/// # Errors
/// When there is no connection or no answer within a second.
pub fn ask(target: SocketAddr) -> Result<()> {
    let limit = std::time::Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&target, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes())?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        received.extend_from_slice(&buffer[..read]);
        match answer::read(&received) {
            Answer::Partial => {}
            Answer::Whole { good, .. } => {
                ensure!(good, "{}", String::from_utf8_lossy(&received));
                return Ok(());
            }
            Answer::Broken => anyhow::bail!("not an answer of the upstream: {}", String::from_utf8_lossy(&received)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// Answers `good` requests per connection, then closes it.
    fn server(good: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream, good));
            }
        });
        address
    }

    fn serve(mut stream: TcpStream, good: usize) {
        let mut buffer = [0; 4096];
        for _ in 0..good {
            if !stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                return;
            }
            // In two pieces, as a proxy may send it.
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
            stream.write_all(b"ok").unwrap();
        }
    }

    /// Runs until so much was answered, with a limit: on a busy machine nothing is answered in a given time.
    fn run_until(generator: &mut Generator, answered: u64) -> Tally {
        let mut all = Tally::new().unwrap();
        let limit = pace::now() + 20 * SECOND;
        while all.answered < answered {
            assert!(pace::now() < limit, "{all:?}");
            let tally = generator.run(SECOND / 50).unwrap();
            all.answered += tally.answered;
            all.errors += tally.errors;
            all.nanoseconds += tally.nanoseconds;
            all.latency.add(&tally.latency).unwrap();
        }
        all
    }

    #[test]
    fn a_closed_loop_counts_what_is_answered() {
        let mut generator = Generator::connect(server(usize::MAX), 3, None).unwrap();
        assert_eq!(run_until(&mut generator, 50).errors, 0);
        assert_eq!(generator.finish().unwrap(), 0);
    }

    #[test]
    fn an_open_loop_is_never_faster_than_its_rate_and_loses_nothing() {
        let begun = pace::now();
        let mut generator = Generator::connect(server(usize::MAX), 4, Some(500)).unwrap();
        let tally = run_until(&mut generator, 100);
        assert!(tally.answered <= (pace::now() - begun) / (SECOND / 500), "{tally:?}");
        assert_eq!(tally.errors, 0);
    }

    #[test]
    fn a_connection_that_is_cut_under_way_is_an_error_and_replaced() {
        let mut generator = Generator::connect(server(5), 2, None).unwrap();
        let tally = run_until(&mut generator, 20);
        assert!(tally.errors > 0, "{tally:?}");
    }

    #[test]
    fn latency_counts_from_the_due_time_while_the_only_connection_is_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let mut first = true;
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                if std::mem::take(&mut first) {
                    // The other side hangs: this is what is measured.
                    thread::park_timeout(std::time::Duration::from_millis(200));
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        });
        let mut generator = Generator::connect(address, 1, Some(100)).unwrap();
        let tally = run_until(&mut generator, 25);
        // Some twenty requests were due while the first was under way: half of them waited longer than 80 ms.
        let waited = tally.latency.count_between(80_000_000, 100 * SECOND);
        assert!(waited >= 8, "{waited} waited, {tally:?}");
    }
}
