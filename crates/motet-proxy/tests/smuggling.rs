//! What a peer that lies about where a message ends can get through (RFC 9112, section 11.2), byte for byte: for each case what reaches the
//! instance, or the refusal. The rule behind the table: a request is refused, or reaches the instance framed in one way only.

use crate::world::{Body, Caller, World, empty, full, tcp, text};
use http::{Request, StatusCode};
use motet_proxy::{EdgePolicy, GatewaySpec, Retry, RouteSpec};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// All bytes that reached an instance, connection after connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Vec<u8>>>);

impl Wire {
    pub(crate) fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().unwrap())).into_owned()
    }
}

/// An instance that notes what comes and answers each complete request with 200. It believes in one framing only: its own eyes.
pub(crate) async fn world() -> (World, Wire) {
    let policy =
        EdgePolicy { retry: Retry { attempts: 1, ..Retry::default() }, breaker: None, ..EdgePolicy::default() };
    let world = World::start(policy).await;
    let wire = Wire::default();
    let seen = wire.clone();
    let address = tcp(&world.group, move |mut stream| {
        let seen = seen.clone();
        async move {
            let mut bytes = [0; 4096];
            let mut all = Vec::new();
            while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                seen.0.lock().unwrap().extend_from_slice(&bytes[..n]);
                all.extend_from_slice(&bytes[..n]);
                if is_whole(&all) {
                    all.clear();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            }
        }
    })
    .await;
    world.add(address);
    (world, wire)
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Sends bytes and reads until the other side closes or has been silent for a moment.
async fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(n @ 1..)) = timeout(Duration::from_millis(150), stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The part of what reached the instance that frames and addresses it, without what we add.
fn framing(wire: &str) -> String {
    let (head, body) = wire.split_once("\r\n\r\n").unwrap_or((wire, ""));
    let keeps = ["content-length", "transfer-encoding", "x-", "trailer"];
    let drops = ["x-motet-"];
    let mut lines = head.lines();
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in
        lines.filter(|line| keeps.iter().any(|k| line.starts_with(k)) && !drops.iter().any(|d| line.starts_with(d)))
    {
        out += "|";
        out += line;
    }
    format!("{out}||{body}")
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_reaches_nobody() {
    let (world, wire) = world().await;
    let gateway = {
        let route = RouteSpec::new("/", "callee".parse().unwrap(), world.set.subscribe());
        let spec = GatewaySpec::new("127.0.0.1:0".parse().unwrap(), vec![route]);
        world.proxy.apply(vec![world.spec(EdgePolicy::default())], Some(spec)).await.unwrap().gateway.unwrap()
    };
    for (name, head) in [
        ("two lengths that differ", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("a list of lengths that differ", "content-length: 5, 6\r\n"),
        ("a list of the same length, which could be taken for one", "content-length: 5, 5\r\n"),
        ("a length with a sign", "content-length: +5\r\n"),
        ("a negative length", "content-length: -5\r\n"),
        ("a length in hexadecimal", "content-length: 0x5\r\n"),
        ("a length with a space in it", "content-length: 1 5\r\n"),
        ("an empty length", "content-length: \r\n"),
        ("a length beyond 64 bits", "content-length: 18446744073709551621\r\n"),
        ("a coding that is not chunked at the end", "transfer-encoding: chunked, identity\r\n"),
        ("a coding that only looks like chunked", "transfer-encoding: xchunked\r\n"),
        ("a coding in quotes", "transfer-encoding: \"chunked\"\r\n"),
        ("a coding after a vertical tab", "transfer-encoding: \x0bchunked\r\n"),
        ("two codings, the last not chunked", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ("a space before the colon", "transfer-encoding : chunked\r\n"),
        ("a space before the colon of a length", "content-length : 5\r\n"),
        ("a tab before the colon", "transfer-encoding\t: chunked\r\n"),
        ("a folded line", "x-a: b\r\n c\r\n"),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n"),
        ("a return within a value", "x-a: b\rtransfer-encoding: chunked\r\n"),
        ("a zero byte within a value", "x-a: b\0c\r\n"),
        ("a zero byte within a name", "x\0a: b\r\n"),
        ("a field without a colon", "transfer-encoding chunked\r\n"),
        ("a field without a name", ": chunked\r\n"),
        ("a line that begins with a space", " x-a: b\r\n"),
        ("a second host", "host: other\r\n"),
    ] {
        for address in [world.address, gateway] {
            let request =
                format!("POST / HTTP/1.1\r\nhost: x\r\n{head}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n");
            let answer = send(address, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer:?}");
            let refusals = answer.matches("HTTP/1.1 400 ").count();
            assert_eq!(answer.matches("HTTP/1.1 ").count(), refusals, "{name}: {answer:?}");
            assert_eq!(wire.take(), "", "{name}");
        }
    }
    for (name, line) in [
        ("a bare return at the line's end", "GET / HTTP/1.1\rhost: x\r\r"),
        ("a space in the target", "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("a version of the future", "GET / HTTP/3.0\r\nhost: x\r\n\r\n"),
        ("a version of the past", "GET / HTTP/0.9\r\nhost: x\r\n\r\n"),
        ("a method that is no token", "GE(T / HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("HTTP/2's preface in the middle", "GET / HTTP/1.1\r\nhost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let answer = send(world.address, line.as_bytes()).await;
        if name.starts_with("HTTP/2") {
            assert!(wire.take().matches("HTTP/").count() == 1, "{name}: {answer:?}");
            continue;
        }
        assert!(!answer.starts_with("HTTP/1.1 2"), "{name}: {answer:?}");
        assert_eq!(wire.take(), "", "{name}");
    }
}

#[tokio::test]
async fn what_can_be_read_in_one_way_arrives_framed_in_one_way() {
    let (world, wire) = world().await;
    for (name, request, expected) in [
        (
            "a length and chunks: chunks win, the length is gone",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "POST / HTTP/1.1|transfer-encoding: chunked||5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "the same the other way round",
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 300\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1|transfer-encoding: chunked||0\r\n\r\n",
        ),
        (
            "the same length twice",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
            "POST / HTTP/1.1|content-length: 5||hello",
        ),
        (
            "a length with leading zeroes, which is one by its grammar",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0005\r\n\r\nhello",
            "POST / HTTP/1.1|content-length: 5||hello",
        ),
        (
            "CHUNKED in capitals",
            "POST / HTTP/1.1\r\nhost: x\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "POST / HTTP/1.1|transfer-encoding: chunked||5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "chunks with extensions, which are taken off",
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;a=b;c\r\nhello\r\n0;d\r\n\r\n",
            "POST / HTTP/1.1|transfer-encoding: chunked||5\r\nhello\r\n0\r\n\r\n",
        ),
        ("spaces around a value", "GET / HTTP/1.1\r\nhost: x\r\nx-a: \t b c \t \r\n\r\n", "GET / HTTP/1.1|x-a: b c||"),
        (
            "a length that the connection header names",
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: content-length, x-b\r\nx-b: 1\r\ncontent-length: 5\r\n\r\nhello",
            "POST / HTTP/1.1|content-length: 5||hello",
        ),
        (
            "a target in absolute form, whose authority wins",
            "GET http://real/path?q HTTP/1.1\r\nhost: other\r\nx-a: b\r\n\r\n",
            "GET /path?q HTTP/1.1|x-a: b||",
        ),
        ("lines that end with a bare line feed", "GET / HTTP/1.1\nhost: x\nx-a: b\n\n", "GET / HTTP/1.1|x-a: b||"),
    ] {
        let answer = send(world.address, request.as_bytes()).await;
        let seen = wire.take();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer:?}, and {seen:?} arrived");
        assert_eq!(framing(&seen), expected, "{name}");
    }
}

#[tokio::test]
async fn broken_chunks_never_look_like_a_whole_request() {
    let (world, wire) = world().await;
    for (name, body) in [
        ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size that is none", "x\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("a prefixed size", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
        ("a line feed in an extension", "5;a=\nb\r\nhello\r\n0\r\n\r\n"),
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        let answer = send(world.address, request.as_bytes()).await;
        let seen = wire.take();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{name}: {answer:?}");
        assert!(!seen.contains("\r\n0\r\n\r\n"), "{name}: it looks whole: {seen:?}");
        assert!(!seen.contains("smuggled"), "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn what_follows_a_request_is_the_next_one_and_not_a_part_of_it() {
    let (world, wire) = world().await;
    let two = "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = send(world.address, two.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer:?}");
    let seen = wire.take();
    assert!(seen.contains("POST /1 HTTP/1.1\r\n") && seen.contains("helloGET /2 HTTP/1.1\r\n"), "{seen:?}");
    // A body that nobody announced is the next request, and not a good one.
    let answer = send(world.address, b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\nhello\r\n\r\n").await;
    assert!(answer.contains("HTTP/1.1 400 "), "{answer:?}");
    assert!(!wire.take().contains("hello"));
}

#[tokio::test]
async fn an_instance_that_lies_about_where_its_answer_ends_is_not_believed() {
    for (name, answer, is_good) in [
        ("two lengths that differ", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", false),
        ("the same length twice", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", true),
        ("a list of the same length", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", true),
        (
            "a length and chunks",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        ),
        (
            "more than it announced",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            true,
        ),
        (
            "an answer before the one that is asked for",
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            true,
        ),
        (
            "a switch that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nevil",
            false,
        ),
        ("a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok", false),
        ("a field with a line break", "HTTP/1.1 200 OK\r\nx-a: b\rc\r\ncontent-length: 2\r\n\r\nok", false),
    ] {
        let policy =
            EdgePolicy { retry: Retry { attempts: 1, ..Retry::default() }, breaker: None, ..EdgePolicy::default() };
        let world = World::start(policy).await;
        let address = tcp(&world.group, move |mut stream: TcpStream| async move {
            while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        world.add(address);
        let mut caller = Caller::http1(world.address, &world.group).await;
        for _ in 0..2 {
            let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            if is_good {
                assert_eq!(answer.status(), StatusCode::OK, "{name}");
                let lengths: Vec<_> = answer.headers().get_all("content-length").iter().collect();
                assert!(lengths.is_empty() || lengths == ["2"], "{name}: {lengths:?}");
                assert_eq!(text(answer.into_body()).await, "ok", "{name}");
            } else {
                assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{name}");
                text(answer.into_body()).await;
            }
        }
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let world = World::start(EdgePolicy::default()).await;
    let address = tcp(&world.group, |mut stream: TcpStream| async move {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut bytes).await {
            let head = String::from_utf8_lossy(&bytes[..n]).into_owned();
            let answer = match () {
                () if head.starts_with("HEAD") => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
                () if head.starts_with("GET /204") => "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
                () if head.starts_with("GET /304") => {
                    "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1000\r\n\r\n"
                }
                () => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    world.add(address);
    for mut caller in
        [Caller::http1(world.address, &world.group).await, Caller::http2(world.address, &world.group).await]
    {
        for _ in 0..3 {
            for (request, status) in [
                (Request::head("/"), StatusCode::OK),
                (Request::get("/204"), StatusCode::NO_CONTENT),
                (Request::get("/304"), StatusCode::NOT_MODIFIED),
            ] {
                let answer = caller.send(request.body(empty()).unwrap()).await.unwrap();
                assert_eq!(answer.status(), status);
                assert_eq!(text(answer.into_body()).await, "");
            }
            let answer = caller.send(Request::get("/").body(empty() as Body).unwrap()).await.unwrap();
            assert_eq!(text(answer.into_body()).await, "ok", "the connection is still in step");
        }
    }
    assert_eq!(world.proxy.stats()[0].cancelled, 0);
}

#[tokio::test]
async fn a_caller_that_asks_before_it_sends_is_told_and_one_that_is_refused_is_told_too() {
    let (world, wire) = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await.unwrap();
    let mut interim = [0; 25];
    timeout(crate::world::LIMIT, stream.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 15];
    timeout(crate::world::LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert!(framing(&wire.take()).ends_with("content-length: 5||hello"));

    // An edge without an instance: the refusal comes in place of the 100.
    let nobody = World::start(EdgePolicy { ready_wait: Duration::from_millis(50), ..EdgePolicy::default() }).await;
    let request = b"PUT / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = send(nobody.address, request).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
    let answer = nobody.send(Request::put("/").header("expect", "100-continue").body(full("hello")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
