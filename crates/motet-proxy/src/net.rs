//! The network that the workers see: the operating system's, or, with the feature `simulation`, a simulated one with a clock of its
//! own, in which the same code can be cut off, held up and run again from a seed (see `tests/simulation.rs`).
//!
//! A [`Bound`] socket is what `bind.rs` makes and a worker takes over.

#[cfg(not(feature = "simulation"))]
pub(crate) use self::real::*;
#[cfg(feature = "simulation")]
pub(crate) use self::simulated::*;

#[cfg(not(feature = "simulation"))]
mod real {
    use std::{future::Future, io, sync::mpsc::sync_channel, thread};
    use tokio::{
        runtime::{Builder, LocalOptions},
        sync::oneshot,
    };

    pub(crate) use std::net::TcpListener as Bound;
    pub(crate) use tokio::net::{TcpListener, TcpStream};

    /// Listens on a socket, in the event loop that this is called in.
    pub(crate) fn listen(bound: Bound) -> io::Result<TcpListener> {
        TcpListener::from_std(bound)
    }

    /// Runs a worker: an event loop on a thread of its own. Says when nothing of it is left.
    pub(crate) fn run<F>(
        name: String,
        work: impl FnOnce() -> F + Send + 'static,
        ended: oneshot::Sender<()>,
    ) -> io::Result<()>
    where
        F: Future<Output = ()>,
    {
        let (built, is_built) = sync_channel(1);
        let body = move || {
            // Made here, because a runtime whose tasks never leave their thread does not leave it either.
            let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(built.send(Err(error))),
            };
            // Whoever starts a worker waits for this.
            let _ = built.send(Ok(()));
            runtime.block_on(work());
            drop(runtime);
            // Nobody hears it when the group's tasks were dropped with their runtime.
            let _ = ended.send(());
        };
        thread::Builder::new().name(name).spawn(body)?;
        is_built.recv().unwrap_or_else(|_| Err(io::Error::other("the worker's thread ended")))
    }
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::{
        future::Future,
        io,
        net::SocketAddr,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use tokio::{sync::oneshot, task::spawn_local};

    pub(crate) use turmoil::net::{TcpListener as Bound, TcpListener, TcpStream};

    /// Listens on a socket.
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn listen(bound: Bound) -> io::Result<TcpListener> {
        Ok(bound)
    }

    /// Takes an address of the simulated host that this is called in.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Bound> {
        // It is done when it is first asked.
        match pin!(Bound::bind(address)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bound) => bound,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Runs a worker on the simulated host that this is called in: there are no threads, so that all of it follows from the seed.
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn run<F>(
        _name: String,
        work: impl FnOnce() -> F + 'static,
        ended: oneshot::Sender<()>,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + 'static,
    {
        spawn_local(async move {
            work().await;
            let _ = ended.send(());
        });
        Ok(())
    }
}
