//! The floor: what the disk gives to a log with group commit, in this process and behind the smallest HTTP/1.1 server that one writes with hyper.
//! It has no topics, checks nothing, forgets what was delivered, and waits for no acknowledgement: less than any broker does.

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bench_proxy::contender::Program;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use super::{Places, Session, Way, bound, free_address, launch};
use crate::{
    http1::{self as http, Client},
    log::Log,
    publish::{Publish, closed_loop},
    tally::Tally,
};

pub(super) fn start(places: &Places) -> Result<Vec<Box<dyn Way>>> {
    let log = Log::create(&places.scratch.join("floor.log"))?;
    let address = free_address()?;
    let mut command = bound(&places.own);
    command.arg("floor").arg(address.to_string()).arg(places.scratch.join("floor-behind-http.log"));
    let program = Arc::new(launch(command, "floor", address, places)?);
    let behind = |delivers| Behind { address, program: Arc::clone(&program), delivers };
    Ok(vec![Box::new(Within(log)), Box::new(behind(true)), Box::new(behind(false))])
}

struct Within(Log);

#[async_trait]
impl Way for Within {
    fn name(&self) -> &'static str {
        "floor: group-commit log in process"
    }

    fn server(&self) -> &'static str {
        "floor"
    }

    fn version(&self) -> String {
        "the floor".to_owned()
    }

    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let slots = (0..in_flight).map(|_| self.0.clone()).collect();
        let (mut groups, consumed) = (self.0.follow(), Arc::clone(&tally));
        let consuming = Box::pin(async move {
            while let Some(group) = groups.recv().await {
                group.iter().for_each(|body| {
                    consumed.delivered(body);
                });
            }
            Ok(())
        });
        Ok(Session::new(closed_loop(tally, slots), Some(consuming)))
    }
}

impl Publish for Log {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        self.append(body).await
    }
}

struct Behind {
    address: SocketAddr,
    program: Arc<Program>,
    delivers: bool,
}

#[async_trait]
impl Way for Behind {
    fn name(&self) -> &'static str {
        if self.delivers { "floor: the same log behind HTTP/1.1" } else { "floor behind HTTP/1.1, publish only" }
    }

    fn server(&self) -> &'static str {
        "floor"
    }

    fn version(&self) -> String {
        "the floor".to_owned()
    }

    fn pids(&self) -> Vec<u32> {
        self.program.pids()
    }

    async fn session(&self, in_flight: usize, tally: Arc<Tally>) -> Result<Session> {
        let mut slots = Vec::with_capacity(in_flight);
        for _ in 0..in_flight {
            slots.push(Slot(Client::connect(self.address).await?));
        }
        if !self.delivers {
            return Ok(Session::new(closed_loop(tally, slots), None));
        }
        let (sender, mut receiver) = Client::connect(self.address).await?.follow("/follow").await?;
        let consumed = Arc::clone(&tally);
        let consuming = Box::pin(async move {
            let (mut text, _open) = (Vec::new(), sender);
            while receiver.receive(&mut text).await? {
                // Only what came wholly: a message ends with its brace, and has no other.
                let whole = text.iter().rposition(|byte| *byte == b'}').map_or(0, |at| at + 1);
                consumed.delivered(&text[..whole]);
                text.drain(..whole);
            }
            Ok(())
        });
        Ok(Session::new(closed_loop(tally, slots), Some(consuming)))
    }
}

struct Slot(Client);

impl Publish for Slot {
    async fn publish(&mut self, body: Bytes) -> Result<()> {
        let (status, _) = self.0.ask(&http::post("/", "application/json", &body)).await?;
        ensure!(status == 202, "the floor answered {status}");
        Ok(())
    }
}

type Answer = Response<Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>>;

/// The server: `POST` appends, `GET` follows.
///
/// # Errors
/// When it cannot listen, or the log cannot be made.
pub async fn serve(address: SocketAddr, path: &Path) -> Result<()> {
    let log = Log::create(path)?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let log = log.clone();
        let service = service_fn(move |request| answer(log.clone(), request));
        connections.spawn(async move {
            // A connection that breaks is its caller's matter.
            let _ = http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(log: Log, request: Request<Incoming>) -> Result<Answer, Infallible> {
    if request.method() == Method::GET {
        let groups = futures_util::stream::unfold(log.follow(), |mut groups| async move {
            let group = groups.recv().await?;
            Some((Ok(Frame::data(Bytes::from(group.concat()))), groups))
        });
        return Ok(Response::new(Either::Right(StreamBody::new(groups.boxed()).boxed_unsync())));
    }
    let is_done = match request.into_body().collect().await {
        Ok(body) => log.append(body.to_bytes()).await.is_ok(),
        Err(_) => false,
    };
    let mut answer = Response::new(Either::Left(Full::new(Bytes::new())));
    *answer.status_mut() = if is_done { StatusCode::ACCEPTED } else { StatusCode::INTERNAL_SERVER_ERROR };
    Ok(answer)
}
