//! A server whose mood can be changed while it runs: what status it answers with, how long it takes, and how often it was asked.

use crate::world::{Census, Server, full};
use http::{Response, StatusCode};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

pub(crate) struct Moody {
    server: Server,
    mood: Arc<Mood>,
    /// Requests that it works on now.
    pub(crate) working: Census,
}

#[derive(Default)]
struct Mood {
    status: AtomicU16,
    takes_ms: AtomicU64,
    asked: AtomicUsize,
}

impl Moody {
    /// Answers each request with its name, at once.
    pub(crate) async fn start(name: &'static str) -> Self {
        let mood = Arc::new(Mood { status: 200.into(), ..Mood::default() });
        let working = Census::default();
        let (of, census) = (Arc::clone(&mood), working.clone());
        let server = Server::start(move |_| {
            of.asked.fetch_add(1, SeqCst);
            let work = census.enter();
            let of = Arc::clone(&of);
            async move {
                tokio::time::sleep(Duration::from_millis(of.takes_ms.load(SeqCst))).await;
                drop(work);
                let mut answer = Response::new(full(name));
                *answer.status_mut() = StatusCode::from_u16(of.status.load(SeqCst)).unwrap();
                answer
            }
        })
        .await;
        Self { server, mood, working }
    }

    pub(crate) async fn failing(name: &'static str) -> Self {
        let server = Self::start(name).await;
        server.answer(503);
        server
    }

    pub(crate) async fn slow(name: &'static str, takes: Duration) -> Self {
        let server = Self::start(name).await;
        server.take(takes);
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub(crate) fn answer(&self, status: u16) {
        self.mood.status.store(status, SeqCst);
    }

    pub(crate) fn take(&self, takes: Duration) {
        self.mood.takes_ms.store(takes.as_millis() as u64, SeqCst);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.mood.asked.load(SeqCst)
    }
}
