//! A connection that comes back by itself, and requests over it that end in time.
//!
//! The client queues what is sent while it is disconnected and sends it later, when nobody waits for it any more. So nothing is sent while the
//! link is down: who wants to send waits until it is up, for as long as he has.

use super::settings::{Login, Settings};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use motet_kernel::backoff::Backoff;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// One attempt to connect and log in.
const ATTEMPT: Duration = Duration::from_secs(4);
/// A server that says nothing for two of these is left.
const PING_EVERY: Duration = Duration::from_secs(2);
const BETWEEN_ATTEMPTS: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(2), factor: 2.0 };

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server cannot be reached or did not answer; in words.
    Away(Arc<str>),
    /// Nobody listens there: no JetStream, no such consumer.
    NobodyThere,
    /// JetStream's own answer: its error code and what it said.
    Refused(u64, Arc<str>),
}

impl Trouble {
    pub(super) fn away(reason: impl Into<String>) -> Self {
        Self::Away(reason.into().into())
    }

    pub(super) fn is(&self, code: u64) -> bool {
        matches!(self, Self::Refused(given, _) if *given == code)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(reason) => f.write_str(reason),
            Self::NobodyThere => f.write_str(
                "JetStream does not answer: switch it on (`nats-server -js`, or `jetstream {}` in its configuration), and allow this user `$JS.API.>`",
            ),
            Self::Refused(code, said) => write!(f, "the server says: {said} ({code})"),
        }
    }
}

/// Whether the link is up, and how often it has been down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weather {
    pub(super) is_up: bool,
    pub(super) breaks: u64,
}

/// One connection.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    weather: watch::Receiver<Weather>,
}

impl Link {
    /// Connects, trying until `until`; a server that says no is not asked again.
    pub(super) async fn open(settings: &Settings, name: &'static str, until: Instant) -> Result<Self, Arc<str>> {
        let mut failures = 0;
        loop {
            let (sender, weather) = watch::channel(Weather { is_up: true, breaks: 0 });
            let connecting = options(settings, name, sender).connect(settings.servers.clone());
            let reason: Arc<str> = match timeout_at(until, connecting).await {
                Ok(Ok(client)) => return Ok(Self { client, weather }),
                Ok(Err(error)) => {
                    let said = explain(&error);
                    if matches!(
                        error.kind(),
                        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication
                    ) {
                        return Err(said);
                    }
                    said
                }
                Err(_) => "it does not answer".into(),
            };
            failures += 1;
            let wait = BETWEEN_ATTEMPTS.wait_jittered(failures);
            if Instant::now() + wait >= until {
                return Err(reason);
            }
            tokio::time::sleep(wait).await;
        }
    }

    pub(super) fn weather(&self) -> watch::Receiver<Weather> {
        self.weather.clone()
    }

    pub(super) fn breaks(&self) -> u64 {
        self.weather.borrow().breaks
    }

    /// Waits until the link is up, until `until` at most.
    pub(super) async fn up(&self, until: Instant) -> Result<(), Trouble> {
        let mut weather = self.weather.clone();
        match timeout_at(until, weather.wait_for(|weather| weather.is_up)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Trouble::away("the connection was closed for good")),
            Err(_) => Err(Trouble::away("the connection is broken; motet goes on trying to connect")),
        }
    }

    /// Asks and waits for one answer.
    pub(super) async fn request(
        &self,
        subject: String,
        payload: impl Into<Bytes>,
        until: Instant,
    ) -> Result<Message, Trouble> {
        self.up(until).await?;
        let request = Request::new().payload(payload.into()).timeout(None);
        let mut weather = self.weather.clone();
        let breaks = weather.borrow().breaks;
        tokio::select! {
            answer = timeout_at(until, self.client.send_request(subject, request)) => match answer {
                Ok(Ok(message)) => Ok(message),
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Err(Trouble::NobodyThere),
                Ok(Err(error)) => Err(Trouble::away(error.to_string())),
                Err(_) => Err(Trouble::away("the server did not answer in time")),
            },
            _ = weather.wait_for(|now| now.breaks != breaks) => Err(Trouble::away("the connection broke while an answer was awaited")),
        }
    }

    /// Sends with the address for answers.
    pub(super) async fn send(
        &self,
        subject: &str,
        reply: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Trouble> {
        let sending = self.client.publish_with_reply_and_headers(subject.to_owned(), reply, headers, payload);
        sending.await.map_err(|error| Trouble::away(error.to_string()))
    }
}

fn options(settings: &Settings, name: &'static str, weather: watch::Sender<Weather>) -> ConnectOptions {
    let place = settings.place();
    let weather = Arc::new(weather);
    let options = ConnectOptions::new()
        .name(format!("motet {} {name}", settings.prefix))
        .connection_timeout(ATTEMPT)
        .ping_interval(PING_EVERY)
        .request_timeout(None)
        .reconnect_delay_callback(|attempts| match attempts {
            0 | 1 => Duration::ZERO,
            more => BETWEEN_ATTEMPTS.wait_jittered(u32::try_from(more - 1).unwrap_or(u32::MAX)),
        })
        .event_callback(move |event| {
            see(&weather, &place, name, &event);
            std::future::ready(())
        });
    match &settings.login {
        Login::Nobody => options,
        Login::Token(token) => options.token(token.clone()),
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
    }
}

fn see(weather: &watch::Sender<Weather>, place: &str, name: &str, event: &Event) {
    match event {
        Event::Connected => {
            weather.send_modify(|weather| weather.is_up = true);
            tracing::info!(%place, connection = name, "connected to NATS");
        }
        Event::Disconnected => {
            weather.send_modify(|weather| *weather = Weather { is_up: false, breaks: weather.breaks + 1 });
            tracing::warn!(%place, connection = name, "the connection to NATS broke; trying again");
        }
        Event::Closed => weather.send_modify(|weather| weather.is_up = false),
        Event::SlowConsumer(_) | Event::LameDuckMode | Event::Draining => {
            tracing::warn!(%place, connection = name, %event, "NATS");
        }
        Event::ServerError(_) | Event::ClientError(_) => tracing::debug!(%place, connection = name, %event, "NATS"),
    }
}

/// What went wrong and what to do about it.
fn explain(error: &async_nats::ConnectError) -> Arc<str> {
    let mut said = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        below = cause.source();
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            "it refuses these credentials: put a user and a password that it knows into the address".into()
        }
        ConnectErrorKind::TimedOut => {
            "nothing that speaks NATS answers there: check host and port, and that nats-server runs".into()
        }
        ConnectErrorKind::Dns => format!("its host has no address ({said}): check the name").into(),
        ConnectErrorKind::Tls => {
            format!("TLS failed ({said}): use tls:// where the server asks for it, and check its certificate").into()
        }
        _ if said.contains("refused") => "nothing listens there: start nats-server, or correct host and port".into(),
        _ => format!("what answers there does not speak NATS, or breaks off ({said}): check host and port").into(),
    }
}
