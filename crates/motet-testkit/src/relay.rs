//! A TCP relay between an adapter and its server, so that a test decides what the network does: it can cut all connections and refuse new
//! ones, hold every byte back while connections stay open, which is how a server that hangs looks from outside, or hold back only what
//! goes to the server.
//!
//! It runs on a thread of its own, because a server that is shared by many tests outlives the runtime of each of them.

use motet_kernel::task::{Kind, TaskGroup};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

const BUFFER_BYTES: usize = 64 * 1024;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// Forwards.
    Whole,
    /// Connections stay open, and nothing arrives.
    Held,
    /// Connections stay open, and nothing arrives at the server.
    Deaf,
    /// Connections are closed, and new ones are closed at once.
    Cut,
    /// The relay ends.
    Gone,
}

/// A running relay. Its connections are closed when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    network: Arc<watch::Sender<Network>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free loopback port, and forwards to `target`.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let network = Arc::new(watch::Sender::new(Network::Whole));
        let seen = network.subscribe();
        let thread = thread::spawn(move || {
            // The runtime ends with the listener, and every connection with the runtime.
            if let Err(error) = runtime.block_on(listen(listener, target, seen)) {
                tracing::error!(%target, %error, "the relay ended");
            }
        });
        Ok(Self { address, network, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, and closes new ones at once until [`Relay::heal`].
    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    /// Lets nothing through until [`Relay::heal`], and closes nothing.
    pub fn hold(&self) {
        self.network.send_replace(Network::Held);
    }

    /// Lets nothing through to the server until [`Relay::heal`], and everything from it.
    pub fn deafen(&self) {
        self.network.send_replace(Network::Deaf);
    }

    /// Forwards again, with what was held back.
    pub fn heal(&self) {
        self.network.send_replace(Network::Whole);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.network.send_replace(Network::Gone);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(
    listener: std::net::TcpListener,
    target: SocketAddr,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let connections = TaskGroup::new();
    let mut gone = network.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = gone.wait_for(|network| *network == Network::Gone) => return Ok(()),
        };
        // A connection that was closed before it was accepted is no trouble of the relay's.
        let Ok((near, _)) = accepted else { continue };
        let network = network.clone();
        if is_broken(&network) {
            continue;
        }
        connections.spawn(Kind::Connection, "relay", forward(near, target, network));
    }
}

fn is_broken(network: &watch::Receiver<Network>) -> bool {
    matches!(*network.borrow(), Network::Cut | Network::Gone)
}

/// Until one side closes or the network breaks; then both are closed.
async fn forward(near: TcpStream, target: SocketAddr, mut network: watch::Receiver<Network>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = pump(near_read, far_write, network.clone(), |network| matches!(network, Network::Held | Network::Deaf));
    let back = pump(far_read, near_write, network.clone(), |network| network == Network::Held);
    tokio::select! {
        _ = network.wait_for(|network| matches!(network, Network::Cut | Network::Gone)) => {}
        _ = there => {}
        _ = back => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    holds: fn(Network) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || network.wait_for(|network| !holds(*network)).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A server that sends back what it gets.
    async fn echo(group: &TaskGroup) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = group.clone();
        group.spawn_dropping(Kind::Listener, "echo", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn_dropping(Kind::Connection, "echo", async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8; 4]) -> io::Result<[u8; 4]> {
        let mut heard = [0; 4];
        stream.write_all(word).await?;
        timeout(LIMIT, stream.read_exact(&mut heard)).await.expect("an answer or an end")?;
        Ok(heard)
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_refuses_new_ones_until_it_is_healed() {
        let group = TaskGroup::new();
        let relay = Relay::start(echo(&group).await).unwrap();
        let mut before = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(&says(&mut before, b"ping").await.unwrap(), b"ping");
        relay.cut();
        assert!(says(&mut before, b"lost").await.is_err());
        if let Ok(mut during) = TcpStream::connect(relay.address()).await {
            assert!(says(&mut during, b"lost").await.is_err());
        }
        relay.heal();
        let mut after = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(&says(&mut after, b"pong").await.unwrap(), b"pong");
        group.cancel();
    }

    #[tokio::test]
    async fn what_is_held_back_arrives_when_it_is_healed() {
        let group = TaskGroup::new();
        let relay = Relay::start(echo(&group).await).unwrap();
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(&says(&mut stream, b"ping").await.unwrap(), b"ping");
        relay.hold();
        stream.write_all(b"wait").await.unwrap();
        let mut heard = [0; 4];
        assert!(timeout(Duration::from_millis(100), stream.read_exact(&mut heard)).await.is_err());
        relay.heal();
        timeout(LIMIT, stream.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"wait");
        group.cancel();
    }
}
