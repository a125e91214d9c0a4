//! HTTP/2 from a client that keeps no rule, frame by frame: nothing of it may reach an HTTP/1 instance as something else (RFC 9113, section
//! 10.3), and a connection that breaks a rule ends alone.

use crate::smuggling::world;
use http::StatusCode;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Frames of HTTP/2 by hand: a client that keeps no rule.
mod frames {
    pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    /// Fields as they are: neither indexed nor compressed (RFC 7541, section 6.2.2).
    pub(super) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                assert!(text.len() < 127);
                block.push(text.len() as u8);
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }
}

/// What a connection that begins like this is answered with: the kinds of frames, with their stream and first payload bytes.
async fn speak(address: SocketAddr, frames: &[Vec<u8>]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(frames::PREFACE).await.unwrap();
    stream.write_all(&frames::frame(4, 0, 0, &[])).await.unwrap();
    for frame in frames {
        let _ = stream.write_all(frame).await;
    }
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(n @ 1..)) = timeout(Duration::from_millis(200), stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..n]);
    }
    let mut rest = &answer[..];
    let mut seen = Vec::new();
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let stream = u32::from_be_bytes(rest[5..9].try_into().unwrap());
        seen.push((rest[3], stream, rest[9..9 + length].to_vec()));
        rest = &rest[9 + length..];
    }
    seen
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[tokio::test]
async fn http2_cannot_carry_a_second_request_down_to_http1() {
    let (world, wire) = world().await;
    let authority = world.address.to_string();
    let base =
        [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", &*authority)].map(|(a, b)| (a, b));
    for (name, more, changed) in [
        ("a coding", ("transfer-encoding", "chunked"), None),
        ("a connection header", ("connection", "keep-alive"), None),
        ("a proxy's connection header", ("proxy-connection", "keep-alive"), None),
        ("an upgrade", ("upgrade", "websocket"), None),
        ("TE with something else than trailers", ("te", "gzip"), None),
        ("a line break in a value", ("x-a", "b\r\ntransfer-encoding: chunked"), None),
        ("a line feed in a value", ("x-a", "b\nx-c: d"), None),
        ("a zero byte in a value", ("x-a", "b\0c"), None),
        ("a colon in a name", ("x-a: b\r\nx", "c"), None),
        ("a capital in a name", ("X-A", "b"), None),
        ("a space in a name", ("x a", "b"), None),
        ("a line break in the path", ("x-a", "b"), Some((2, ":path", "/ HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled"))),
        ("a space in the path", ("x-a", "b"), Some((2, ":path", "/smuggled HTTP/1.1"))),
        ("a line break in the method", ("x-a", "b"), Some((0, ":method", "GET /smuggled HTTP/1.1\r\nx: "))),
        ("a line break in the authority", ("x-a", "b"), Some((3, ":authority", "x\r\nx-c: d"))),
        ("no path", ("x-a", "b"), Some((2, "x-b", "c"))),
        ("a second path", (":path", "/other"), None),
        ("an unknown pseudo header", (":other", "x"), None),
        ("a length that is not the body's", ("content-length", "100"), None),
        ("a length that is none", ("content-length", "5, 6"), None),
    ] {
        let mut fields = base.to_vec();
        if let Some((n, field, value)) = changed {
            fields[n] = (field, value);
        }
        fields.push(more);
        let request = frames::frame(HEADERS, END_STREAM | END_HEADERS, 1, &frames::fields(&fields));
        let answer = speak(world.address, &[request]).await;
        let seen = wire.take();
        let refused = answer.iter().any(|(kind, ..)| [RESET, GOAWAY].contains(kind))
            || answer.iter().any(|(kind, _, block)| *kind == HEADERS && block.windows(3).any(|three| three == b"400"));
        let harmless = seen.is_empty() || seen.matches("HTTP/1.1").count() == 1 && !seen.contains("smuggled");
        assert!(harmless && !seen.to_lowercase().contains("chunked"), "{name}: {seen:?}");
        assert!(refused || !seen.is_empty() && name.starts_with("TE"), "{name}: {answer:?} {seen:?}");
    }
}

#[tokio::test]
async fn http2_connections_that_break_the_rules_end_and_others_do_not_notice() {
    let (world, wire) = world().await;
    let authority = world.address.to_string();
    let fields =
        frames::fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", &*authority)]);
    let get = |stream| frames::frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields);
    for (name, wrong) in [
        ("data on no stream", frames::frame(0, 0, 0, b"x")),
        ("headers on no stream", frames::frame(HEADERS, END_HEADERS, 0, &fields)),
        ("headers on an even stream", frames::frame(HEADERS, END_HEADERS, 2, &fields)),
        ("data on an idle stream", frames::frame(0, 0, 5, b"x")),
        ("a ping of seven bytes", frames::frame(6, 0, 0, &[0; 7])),
        ("a ping on a stream", frames::frame(6, 0, 1, &[0; 8])),
        ("settings on a stream", frames::frame(4, 0, 1, &[])),
        ("settings of five bytes", frames::frame(4, 0, 0, &[0; 5])),
        ("a window update of nothing", frames::frame(8, 0, 0, &[0; 4])),
        ("a push from a client", frames::frame(5, END_HEADERS, 1, &[0; 4])),
        ("a reset of an idle stream", frames::frame(RESET, 0, 7, &[0; 4])),
        ("a continuation of nothing", frames::frame(9, END_HEADERS, 1, &fields)),
        ("a frame larger than agreed", frames::frame(0, 0, 1, &vec![0; 20_000])),
        ("headers that are no HPACK", frames::frame(HEADERS, END_STREAM | END_HEADERS, 3, &[0xff; 20])),
        ("a stream that depends on itself", frames::frame(2, 0, 3, &[0, 0, 0, 3, 1])),
    ] {
        let answer = speak(world.address, &[get(1), wrong]).await;
        let ends = answer.iter().any(|(kind, ..)| [RESET, GOAWAY].contains(kind));
        // Priorities are obsolete (RFC 9113, section 5.3.2) and may be passed over.
        assert!(ends || name.contains("depends"), "{name}: {answer:?}");
        wire.take();
    }
    let unknown = frames::frame(0xfa, 0xff, 0, b"grease");
    let answer = speak(world.address, &[unknown, get(1)]).await;
    assert!(answer.iter().any(|(kind, stream, _)| (*kind, *stream) == (HEADERS, 1)), "unknown frames are passed over");
    let ping = speak(world.address, &[frames::frame(6, 0, 0, b"12345678")]).await;
    assert!(ping.iter().any(|(kind, _, payload)| *kind == 6 && payload == b"12345678"), "{ping:?}");
    assert_eq!(world.get("/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn resets_in_a_row_end_the_connection_and_not_the_data_plane() {
    let (world, _wire) = world().await;
    let authority = world.address.to_string();
    let fields =
        frames::fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", &*authority)]);
    let mut flood = Vec::new();
    for n in 0..5_000 {
        let stream = 2 * n + 1;
        flood.push(frames::frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields));
        flood.push(frames::frame(RESET, 0, stream, &[0, 0, 0, 8]));
    }
    let answer = speak(world.address, &flood).await;
    assert!(answer.is_empty() || answer.iter().any(|(kind, ..)| *kind == GOAWAY), "a flood is no way to speak");
    assert_eq!(world.get("/").await.status(), StatusCode::OK);
    crate::world::eventually("nothing is left", || world.proxy.stats()[0].in_flight == 0).await;
}
