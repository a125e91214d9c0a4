//! A connection that comes back.
//!
//! The client library can repair a connection behind its user's back, but then nobody knows which of the messages under way the server has.
//! Here a lost connection is lost: everything on it fails at once, a new one is made after a growing pause, and those who stand on it begin anew,
//! knowing what they have to do again.

use super::{
    address::Address,
    error::Trouble,
    probe::{Server, probe},
};
use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties, ErrorKind, Event};
use motet_kernel::{
    backoff::Backoff,
    task::{Kind, TaskGroup},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How long each of the two steps of a connection may take.
const STEP_LIMIT: Duration = Duration::from_secs(4);
/// How long the first connection is tried for.
const FIRST_LIMIT: Duration = Duration::from_secs(10);
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5), factor: 2.0 };
/// One that lived shorter than this counts as a failure to connect.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// Events of the library may come before the state that they are about.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone)]
enum State {
    Up(Arc<Connection>),
    Down(Trouble),
}

/// One connection for one purpose, as long as the group lives.
pub(super) struct Link {
    address: Address,
    /// What the server's operators see in their list of connections.
    name: String,
    state: watch::Sender<State>,
}

impl Link {
    /// Connects, for ten seconds at most unless trying again is of no use, and keeps connected from then on.
    pub(super) async fn open(
        address: &Address,
        name: String,
        group: &TaskGroup,
    ) -> Result<(Arc<Self>, Server), Trouble> {
        let until = Instant::now() + FIRST_LIMIT;
        let mut failures = 0;
        let (connection, server) = loop {
            let trouble = match tokio::time::timeout_at(until, connect(address, &name)).await {
                Ok(Ok(connected)) => break connected,
                Ok(Err(trouble)) => trouble,
                Err(_) => return Err(Trouble::Silent(FIRST_LIMIT)),
            };
            failures += 1;
            let again = Instant::now() + BACKOFF.wait_jittered(failures);
            if trouble.is_lasting() || again >= until {
                return Err(trouble);
            }
            tokio::time::sleep_until(again).await;
        };
        let state = watch::Sender::new(State::Up(Arc::new(connection)));
        let link = Arc::new(Self { address: address.clone(), name, state });
        let keeper = Arc::clone(&link);
        group.spawn_dropping(Kind::ContextLoop, "keep a connection to RabbitMQ", async move { keeper.keep().await });
        Ok((link, server))
    }

    /// The connection, as soon as there is one. Whoever calls says how long that may take.
    pub(super) async fn connection(&self) -> Arc<Connection> {
        let mut state = self.state.subscribe();
        loop {
            if let State::Up(connection) = &*state.borrow_and_update() {
                return Arc::clone(connection);
            }
            if state.changed().await.is_err() {
                // The sender is a field of this.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Why there is none, if so.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.status().blocked() => Some(Trouble::Blocked),
            State::Up(_) => None,
            State::Down(trouble) => Some(trouble.clone()),
        }
    }

    async fn keep(&self) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let current = self.state.borrow().clone();
            if let State::Up(connection) = current {
                let trouble = watch_over(&connection).await;
                tracing::warn!(server = %self.address, connection = %self.name, %trouble, "lost RabbitMQ; connecting again");
                self.state.send_replace(State::Down(trouble));
                failures = if began.elapsed() < SHORT_LIFE { failures } else { 0 };
            }
            failures += 1;
            tokio::time::sleep(BACKOFF.wait_jittered(failures)).await;
            match connect(&self.address, &self.name).await {
                Ok((connection, server)) => {
                    tracing::info!(server = %self.address, version = %server, connection = %self.name, "connected to RabbitMQ");
                    self.state.send_replace(State::Up(Arc::new(connection)));
                }
                Err(trouble) => self.note(trouble),
            }
        }
    }

    /// What is new is said once.
    fn note(&self, trouble: Trouble) {
        let is_new = !matches!(&*self.state.borrow(), State::Down(known) if *known == trouble);
        if is_new {
            tracing::warn!(server = %self.address, connection = %self.name, %trouble, "RabbitMQ cannot be reached; trying on");
        }
        self.state.send_replace(State::Down(trouble));
    }
}

/// Returns when the connection is gone, and why.
async fn watch_over(connection: &Connection) -> Trouble {
    let mut events = std::pin::pin!(connection.events_listener());
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut trouble = Trouble::Lost("the connection is lost".to_owned());
    let mut is_listening = true;
    while connection.status().connected() {
        tokio::select! {
            event = events.next(), if is_listening => match event {
                Some(Event::Error(error)) => trouble = error.into(),
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(%reason, "RabbitMQ takes no messages now");
                }
                Some(Event::ConnectionUnblocked) => tracing::info!("RabbitMQ takes messages again"),
                Some(_) => {}
                None => is_listening = false,
            },
            _ = look.tick() => {}
        }
    }
    trouble
}

async fn connect(address: &Address, name: &str) -> Result<(Connection, Server), Trouble> {
    let server = probe(address, STEP_LIMIT).await?;
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(address.uri().clone(), properties);
    let connected = tokio::time::timeout(STEP_LIMIT, connecting).await.map_err(|_| Trouble::Silent(STEP_LIMIT))?;
    let connection = connected.map_err(|error| refused(address, &error))?;
    Ok((connection, server))
}

/// Why a server that is RabbitMQ does not let us in.
fn refused(address: &Address, error: &lapin::Error) -> Trouble {
    let code = if let ErrorKind::ProtocolError(error) = error.kind() { error.get_id() } else { 0 };
    match code {
        403 => {
            let hint =
                if address.user() == "guest" { "; RabbitMQ lets `guest` in only from its own machine" } else { "" };
            Trouble::Login { user: address.user().to_owned(), hint }
        }
        530 => Trouble::Vhost(address.vhost().to_owned()),
        _ => error.into(),
    }
}
