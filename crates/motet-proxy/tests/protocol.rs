//! HTTP/1.1, HTTP/2 and what is built on them, as the RFCs say.

use crate::world::{Caller, Server, World, data, empty, full, next, problem, stepwise, tcp, text};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use motet_proxy::{Config, EdgePolicy, Protocol};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

#[tokio::test]
async fn callers_and_instances_may_speak_different_versions() {
    let server = Server::start(|request: Request<Incoming>| async move {
        let version = request.version();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("{version:?} {}", String::from_utf8_lossy(&body))))
    })
    .await;
    for (protocol, expected) in [(Protocol::Http1, Version::HTTP_11), (Protocol::H2c, Version::HTTP_2)] {
        let world = World::with(EdgePolicy::default(), protocol, Config::default()).await;
        world.add(server.address);
        for mut caller in
            [Caller::http1(world.address, &world.group).await, Caller::http2(world.address, &world.group).await]
        {
            let answer = caller.send(Request::post("/x").body(full("hello")).unwrap()).await.unwrap();
            assert_eq!(text(answer.into_body()).await, format!("{expected:?} hello"));
            let (parts, body) = stepwise();
            let steps = async {
                parts.send(data("chunk")).await.unwrap();
                drop(parts);
            };
            let (answer, ()) = tokio::join!(caller.send(Request::post("/x").body(body).unwrap()), steps);
            assert_eq!(text(answer.unwrap().into_body()).await, format!("{expected:?} chunk"));
        }
    }
}

#[tokio::test]
async fn a_grpc_request_goes_out_as_http2_and_its_trailers_come_back() {
    let server = Server::start(|request: Request<Incoming>| async move {
        assert_eq!((request.version(), &request.headers()["te"]), (Version::HTTP_2, &"trailers".parse().unwrap()));
        let (parts, body) = stepwise();
        motet_kernel::task::TaskGroup::new().spawn(motet_kernel::task::Kind::Job, "answer", async move {
            parts.send(data("message")).await.unwrap();
            let trailers: HeaderMap = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
            parts.send(Frame::trailers(trailers)).await.unwrap();
        });
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let mut caller = Caller::http2(world.address, &world.group).await;
    let request = Request::post("/svc/Method")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(full("x"))
        .unwrap();
    let answer = caller.send(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "message");
}

#[tokio::test]
async fn trailers_pass_both_ways_in_http1() {
    let server = Server::start(|request: Request<Incoming>| async move {
        let sum = request.into_body().collect().await.unwrap().trailers().unwrap()["x-sum"].clone();
        let (parts, body) = stepwise();
        motet_kernel::task::TaskGroup::new().spawn(motet_kernel::task::Kind::Job, "answer", async move {
            parts.send(data("body")).await.unwrap();
            let trailers: HeaderMap = [("x-sum".parse().unwrap(), sum)].into_iter().collect();
            parts.send(Frame::trailers(trailers)).await.unwrap();
        });
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    world.add(server.address);
    let (parts, body) = stepwise();
    let request = Request::post("/").header("trailer", "x-sum").header("te", "trailers").body(body).unwrap();
    let steps = async {
        parts.send(data("body")).await.unwrap();
        let trailers: HeaderMap = [("x-sum".parse().unwrap(), "42".parse().unwrap())].into_iter().collect();
        parts.send(Frame::trailers(trailers)).await.unwrap();
        drop(parts);
    };
    let (answer, ()) = tokio::join!(world.send(request), steps);
    let answer = answer.into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-sum"], "42");
}

#[tokio::test]
async fn a_websocket_passes_both_ways_and_its_end_too() {
    let server = Server::start(|mut request: Request<Incoming>| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        let upgraded = hyper::upgrade::on(&mut request);
        motet_kernel::task::TaskGroup::new().spawn(motet_kernel::task::Kind::Connection, "echo", async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut bytes = [0; 64];
            while let Ok(n @ 1..) = io.read(&mut bytes).await {
                io.write_all(&bytes[..n]).await.unwrap();
            }
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(empty())
            .unwrap()
    })
    .await;
    let world = World::start(EdgePolicy::default()).await;
    let instance = world.add(server.address);
    let request =
        Request::get("/ws").header("connection", "Upgrade").header("upgrade", "websocket").body(empty()).unwrap();
    let answer = world.send(request).await;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    for message in [b"hello", b"again"] {
        io.write_all(message).await.unwrap();
        let mut echoed = [0; 5];
        io.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, message);
    }
    assert_eq!(world.proxy.in_flight(instance), 1, "it counts while it is open");
    drop(io);
    crate::world::eventually("it has ended", || world.proxy.in_flight(instance) == 0).await;
}

/// Sends bytes, and reads what comes until the other side closes or a pause says that it will not.
async fn raw(world: &World, bytes: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(std::time::Duration::from_millis(500), stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_is_framed_twice_cannot_smuggle_another() {
    let world = World::start(EdgePolicy::default()).await;
    let (seen, mut requests) = mpsc::channel(8);
    let server = Server::start(move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            seen.send((parts.uri.path().to_owned(), parts.headers, body)).await.unwrap();
            Response::new(full("ok"))
        }
    })
    .await;
    world.add(server.address);
    for lengths in
        ["content-length: 5\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"]
    {
        let smuggle = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = raw(&world, &format!("POST /outer HTTP/1.1\r\nhost: x\r\n{lengths}\r\n0\r\n\r\n{smuggle}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "the connection ends after it: {answer}");
        let (path, headers, body) = requests.recv().await.unwrap();
        assert_eq!((path.as_str(), body.len()), ("/outer", 0));
        assert!(!headers.contains_key("content-length") || !headers.contains_key("transfer-encoding"));
    }
    for refused in [
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    ] {
        let answer = raw(&world, refused).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{refused:?} got {answer:?}");
    }
    assert!(requests.try_recv().is_err(), "none of them reached the instance");
}

#[tokio::test]
async fn a_head_that_is_too_long_and_a_tunnel_are_refused() {
    let world = World::start(EdgePolicy::default()).await;
    world.add(Server::named("never").await.address);
    let long = "x".repeat(70 * 1024);
    let answer = raw(&world, &format!("GET / HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = raw(&world, "CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
}

#[tokio::test]
async fn a_caller_that_waits_for_100_continue_is_told_to_go_on() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|request: Request<Incoming>| async {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    world.add(server.address);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn headers_of_one_hop_stay_on_it_and_metadata_travels() {
    let world = World::start(EdgePolicy::default()).await;
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let sink = Arc::clone(&seen);
    let server = Server::start(move |request: Request<_>| {
        *sink.lock().unwrap() = request.headers().clone();
        async {
            Response::builder()
                .header("connection", "x-hop")
                .header("x-hop", "1")
                .header("x-end", "1")
                .body(empty())
                .unwrap()
        }
    })
    .await;
    world.add(server.address);
    let request = Request::get("/")
        .header("connection", "x-hop, host")
        .header("x-hop", "1")
        .header("x-end", "1")
        .header("proxy-connection", "keep-alive")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("baggage", "user=1")
        .body(empty())
        .unwrap();
    let answer = world.send(request).await;
    assert!(answer.headers().contains_key("x-end") && !answer.headers().contains_key("x-hop"));
    let seen = seen.lock().unwrap();
    for gone in ["x-hop", "connection", "proxy-connection"] {
        assert!(!seen.contains_key(gone), "{gone}");
    }
    assert_eq!((&seen["x-end"], &seen["baggage"]), (&"1".parse().unwrap(), &"user=1".parse().unwrap()));
    assert_eq!(
        (&seen["x-motet-caller"], &seen["x-motet-attempt"]),
        (&"caller".parse().unwrap(), &"1".parse().unwrap())
    );
    let trace = seen["traceparent"].to_str().unwrap();
    assert!(
        trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && !trace.contains("00f067aa0ba902b7"),
        "{trace}"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    let world = World::start(EdgePolicy::default()).await;
    let address = tcp(&world.group, |mut stream: TcpStream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    })
    .await;
    world.add(address);
    let answer = world.send(Request::post("/").body(full("x")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(problem(answer).await["code"], "MO-proxy-205");
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let world = World::start(EdgePolicy::default()).await;
    let server =
        Server::start(|_| async { Response::builder().header("content-length", "1000").body(empty()).unwrap() }).await;
    world.add(server.address);
    let mut caller = Caller::http1(world.address, &world.group).await;
    for _ in 0..3 {
        let answer = caller.send(Request::head("/").body(empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "1000");
        assert!(next(&mut answer.into_body()).await.is_none());
    }
    assert_eq!(world.proxy.stats()[0].cancelled, 0);
}

#[tokio::test]
async fn an_http_1_0_instance_does_not_cost_the_caller_its_connection() {
    let world = World::start(EdgePolicy::default()).await;
    let address = tcp(&world.group, |mut stream: TcpStream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil it closes").await;
    })
    .await;
    world.add(address);
    let mut caller = Caller::http1(world.address, &world.group).await;
    for _ in 0..3 {
        let answer = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_11);
        assert_eq!(text(answer.into_body()).await, "until it closes");
    }
}
