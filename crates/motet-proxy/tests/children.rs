//! Processes of their own, because only a process can be killed, and only a process has a memory of its own to measure.
//!
//! A child is this same test binary, told to run one test, [`a_child_process_plays_its_role`], which does nothing unless the
//! environment names a role. A child ends when its standard input does, so none outlives the tests.

use crate::world::{Body, LIMIT, Server, World, data, full, tcp};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use motet_kernel::task::TaskGroup;
use motet_proxy::EdgePolicy;
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

const ROLE: &str = "MOTET_TEST_ROLE";
const ANNOUNCEMENT: &str = "listening on ";

/// A running child.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one and waits until it listens.
    pub(crate) async fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "children::a_child_process_plays_its_role", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = tokio::task::spawn_blocking(move || {
            let address = lines.find_map(|line| line.ok()?.split_once(ANNOUNCEMENT)?.1.parse().ok());
            // Keeps reading, so that the child can go on writing.
            std::thread::spawn(move || lines.for_each(drop));
            address
        });
        let address = tokio::time::timeout(LIMIT, announced).await.unwrap().unwrap().expect("it says where it listens");
        Self { child, address }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_child_process_plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words = role.split(' ');
    match (words.next().unwrap(), words.next()) {
        ("server", Some(latency)) => {
            let latency = Duration::from_millis(latency.parse().unwrap());
            let server = Server::start(move |_| async move {
                tokio::time::sleep(latency).await;
                Response::new(full("done"))
            })
            .await;
            until_abandoned(server.address).await;
        }
        ("store", None) => {
            let server = Server::start(store).await;
            until_abandoned(server.address).await;
        }
        ("edge", Some(instance)) => {
            let world = World::start(EdgePolicy { timeout: Duration::from_secs(3600), ..EdgePolicy::default() }).await;
            world.add(instance.parse().unwrap());
            until_abandoned(world.address).await;
        }
        ("hang", None) => {
            let group = TaskGroup::new();
            let address = tcp(&group, |stream| async move {
                std::future::pending::<()>().await;
                drop(stream);
            })
            .await;
            until_abandoned(address).await;
        }
        other => panic!("no such role: {other:?}"),
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn until_abandoned(address: SocketAddr) {
    println!("{ANNOUNCEMENT}{address}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

/// Takes uploads and says how much there was; gives as many bytes as the path says.
async fn store(mut request: Request<Incoming>) -> Response<Body> {
    let wanted: u64 = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    let mut taken = 0;
    while let Some(Ok(frame)) = request.body_mut().frame().await {
        taken += frame.into_data().map_or(0, |data| data.len() as u64);
    }
    let mut answer = Response::new(pieces(wanted));
    answer.headers_mut().insert("x-taken", taken.into());
    answer
}

/// A body of so many bytes.
pub(crate) fn pieces(bytes: u64) -> Body {
    const PIECE: u64 = 128 * 1024;
    let piece = Bytes::from(vec![7; PIECE as usize]);
    let pieces = (0..bytes.div_ceil(PIECE)).map(move |n| {
        let length = (bytes - n * PIECE).min(PIECE);
        Ok(data(piece.slice(..length as usize)))
    });
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}
