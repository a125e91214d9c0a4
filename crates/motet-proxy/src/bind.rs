//! Takes addresses: one socket per worker for each, and a clear answer when somebody else has it.

use crate::{
    error::{AddressTaken, ApplyError, BindFailed},
    holder,
    net::Bound,
};
#[cfg(not(feature = "simulation"))]
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr};

/// How many connections the kernel keeps for us until we accept them.
#[cfg(not(feature = "simulation"))]
const BACKLOG: i32 = 1024;

/// One socket per worker, all on the same address, and the address: with the port that was chosen when 0 was asked for.
pub(crate) fn bind(address: SocketAddr, workers: usize, purpose: &str) -> Result<(Vec<Bound>, SocketAddr), ApplyError> {
    all(address, workers).map_err(|source| {
        let purpose = purpose.to_owned();
        if source.kind() == io::ErrorKind::AddrInUse {
            AddressTaken { address, purpose, holder: holder::of(address) }.into()
        } else {
            BindFailed { address, purpose, source }.into()
        }
    })
}

/// A simulated host has one worker.
#[cfg(feature = "simulation")]
fn all(address: SocketAddr, workers: usize) -> io::Result<(Vec<Bound>, SocketAddr)> {
    debug_assert_eq!(workers, 1);
    let socket = crate::net::bind(address)?;
    let bound = socket.local_addr()?;
    Ok((vec![socket], bound))
}

#[cfg(not(feature = "simulation"))]
fn all(address: SocketAddr, workers: usize) -> io::Result<(Vec<Bound>, SocketAddr)> {
    if address.port() != 0 {
        // Another process of the same user that shares its port too would otherwise get a part of the connections, silently.
        let probe = socket(address)?;
        probe.bind(&address.into())?;
    }
    let mut bound = address;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket(bound)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = Bound::from(socket);
        bound = listener.local_addr()?;
        sockets.push(listener);
    }
    Ok((sockets, bound))
}

#[cfg(not(feature = "simulation"))]
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restarted process take its port back while old connections still linger.
    socket.set_reuse_address(true)?;
    Ok(socket)
}
