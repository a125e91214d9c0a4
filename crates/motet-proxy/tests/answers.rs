//! What an instance may send back over HTTP/1, byte for byte, and what of it reaches the caller: answers framed in each of the ways
//! that there are, and answers that are wrong.

use crate::world::{Caller, World, empty, full, tcp};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use motet_proxy::{EdgePolicy, Retry};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An instance that answers each request with these pieces, and says how many connections it has had.
async fn instance(pieces: Vec<Vec<u8>>, closes: bool) -> (World, Arc<AtomicUsize>) {
    let policy =
        EdgePolicy { retry: Retry { attempts: 1, ..Retry::default() }, breaker: None, ..EdgePolicy::default() };
    let world = World::start(policy).await;
    let connections = Arc::<AtomicUsize>::default();
    let (pieces, count) = (Arc::new(pieces), Arc::clone(&connections));
    let address = tcp(&world.group, move |mut stream| {
        count.fetch_add(1, SeqCst);
        let pieces = Arc::clone(&pieces);
        async move {
            let mut bytes = [0; 4096];
            let mut seen = Vec::new();
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                seen.extend_from_slice(&bytes[..count]);
                if !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                    continue;
                }
                seen.clear();
                for piece in pieces.iter() {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                if closes {
                    return;
                }
            }
        }
    })
    .await;
    world.add(address);
    (world, connections)
}

async fn read(answer: Response<Incoming>) -> Result<(StatusCode, String), hyper::Error> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn every_way_of_framing_an_answer_reaches_the_caller() {
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 2\r\n\r\nok", "a".repeat(100_000));
    for (name, answer, closes) in [
        ("a length", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        ("chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", false),
        ("the connection's end", "HTTP/1.1 200 OK\r\n\r\nok", true),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", true),
        (
            "announcements before it",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            false,
        ),
        ("the same length twice", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", false),
        ("a long head", &long, false),
    ] {
        let bytes = answer.as_bytes();
        let mut ways = vec![vec![bytes.to_vec()]];
        if bytes.len() < 1000 {
            ways.push(bytes.iter().map(|byte| vec![*byte]).collect());
        }
        for pieces in ways {
            let count = pieces.len();
            let (world, _) = instance(pieces, closes).await;
            let read = read(world.get("/").await).await;
            assert_eq!(read.unwrap(), (StatusCode::OK, "ok".to_owned()), "{name}, in {count} pieces");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_from_the_start_is_a_bad_gateway() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(1_000_000));
    let announcing = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40);
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(200));
    for (name, answer) in [
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
        ("a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
        ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a chunk's size that is none, with the head", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno\r\n"),
        ("a head that never ends", &endless),
        ("announcements without end", &announcing),
        ("more fields than anybody has", &many),
        ("a protocol that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
    ] {
        let (world, _) = instance(vec![answer.as_bytes().to_vec()], true).await;
        let (status, text) = read(world.get("/").await).await.unwrap();
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{name}: {text}");
        assert!(text.contains("MO-proxy-205"), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_goes_wrong_later_is_never_a_whole_one() {
    for (name, head, rest) in [
        ("a chunk longer than its size", "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "2\r\nokay\r\n0\r\n\r\n"),
        ("chunks without an end", "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n", ""),
        ("a length that is not reached", "content-length: 20\r\n\r\nok", "ok"),
    ] {
        let pieces = vec![format!("HTTP/1.1 200 OK\r\n{head}").into_bytes(), rest.as_bytes().to_vec()];
        let (world, _) = instance(pieces, true).await;
        let mut caller = Caller::http1(world.address, &world.group).await;
        // What is wrong may have come with the head: then it is an answer of ours, or none at all.
        let Ok(answer) = caller.send(Request::get("/").body(empty()).unwrap()).await else { continue };
        let status = answer.status();
        let body = read(answer).await;
        assert!(body.is_err() || status == StatusCode::BAD_GATEWAY, "{name}: {body:?}");
    }
}

#[tokio::test]
async fn a_connection_serves_again_only_after_an_answer_that_leaves_no_doubt() {
    for (name, answer, again) in [
        ("a plain answer", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        ("its wish to close", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        ("more than it said", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokay", false),
        ("a second answer", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", false),
        (
            "chunks and a length",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            false,
        ),
    ] {
        let (world, connections) = instance(vec![answer.as_bytes().to_vec()], false).await;
        // One caller's connection: it is served by one worker, which keeps the connections of its own.
        let mut caller = Caller::http1(world.address, &world.group).await;
        for _ in 0..3 {
            let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
            assert_eq!(read(answer).await.unwrap().1, "ok", "{name}");
        }
        let expected = if again { 1 } else { 3 };
        assert_eq!(connections.load(SeqCst), expected, "{name}");
    }
}

#[tokio::test]
async fn an_answer_before_the_request_has_ended_reaches_the_caller() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlong";
    let (world, _) = instance(vec![refusal.as_bytes().to_vec()], false).await;
    // More than all buffers on the way hold, so that it cannot be sent to its end.
    let body = full(vec![0_u8; 32 << 20]);
    let sent = world.send(Request::post("/").body(body).unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(10), sent).await.expect("it does not wait for the upload");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
