//! What a caller from outside may ask of the gateway: each limit, with a caller that goes beyond it.

use crate::world::{
    Caller, Census, LIMIT, Server, World, data, empty, eventually, full, next, problem, stepwise, text,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use motet_proxy::{EdgePolicy, gateway::GatewayLimits};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// Answers with the length of the body, once all of it has come.
async fn measuring(census: &Census) -> Server {
    let census = census.clone();
    Server::start(move |request: Request<Incoming>| {
        let member = census.enter();
        async move {
            let _member = member;
            match request.into_body().collect().await {
                Ok(body) => Response::new(full(body.to_bytes().len().to_string())),
                Err(_) => Response::builder().status(400).body(empty()).unwrap(),
            }
        }
    })
    .await
}

async fn world(limits: GatewayLimits) -> (World, Server, SocketAddr, Census) {
    let world = World::start(EdgePolicy::default()).await;
    let census = Census::default();
    let server = measuring(&census).await;
    world.add(server.address);
    let address = world.gateway(|spec| spec.limits = limits).await;
    (world, server, address, census)
}

async fn both(address: SocketAddr, world: &World) -> [Caller; 2] {
    [Caller::http1(address, &world.group).await, Caller::http2(address, &world.group).await]
}

/// Sends bytes as they are, and reads until the gateway closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it is closed in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_refused_with_a_document_that_says_which() {
    let limits = GatewayLimits { uri_max: 100, head_max: 2000, fields_max: 20, ..GatewayLimits::default() };
    let (world, _server, address, _) = world(limits).await;
    for mut caller in both(address, &world).await {
        let long_path = Request::get(format!("/{}", "p".repeat(100))).body(empty()).unwrap();
        let long_field = Request::get("/").header("x-long", "v".repeat(2000)).body(empty()).unwrap();
        let mut many_fields = Request::get("/").body(empty()).unwrap();
        for n in 0..21 {
            many_fields.headers_mut().append("x-many", n.into());
        }
        for (request, status, code, policy) in [
            (long_path, 414, "MO-proxy-111", "uri: 100"),
            (long_field, 431, "MO-proxy-110", "head: 2000"),
            (many_fields, 431, "MO-proxy-110", "fields: 20"),
        ] {
            let answer = caller.send(request).await.unwrap();
            assert_eq!(answer.status(), status);
            let problem = problem(answer).await;
            assert_eq!((&problem["code"], &problem["policy"]), (&code.into(), &policy.into()));
        }
        let fine = caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap();
        assert_eq!(fine.status(), 200, "the connection goes on");
    }
}

#[tokio::test]
async fn a_head_far_beyond_its_limits_is_refused_before_it_is_complete() {
    let (_world, _server, address, census) = world(GatewayLimits { head_max: 2000, ..GatewayLimits::default() }).await;
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\nx-endless: {}", "v".repeat(200_000));
    let answer = raw(address, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(census.alive(), 0);
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_long_is_refused_before_it_is_sent() {
    let limits = GatewayLimits { body_max: Some(1000), ..GatewayLimits::default() };
    let (world, _server, address, _) = world(limits).await;
    for mut caller in both(address, &world).await {
        let answer = caller.send(Request::post("/").body(full("x".repeat(1000))).unwrap()).await.unwrap();
        assert_eq!(text(answer.into_body()).await, "1000");
        let answer = caller.send(Request::post("/").body(full("x".repeat(1001))).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(problem(answer).await["code"], "MO-proxy-112");
    }
    let asks_first = "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n";
    let answer = raw(address, asks_first.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "not 100: {answer}");
}

#[tokio::test]
async fn the_answer_to_a_body_that_is_too_long_arrives_although_the_caller_is_still_sending() {
    let limits = GatewayLimits { body_max: Some(1000), ..GatewayLimits::default() };
    let (_world, _server, address, _) = world(limits).await;
    let mut request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n".to_vec();
    request.resize(request.len() + 4_000_000, b'x');
    let answer = raw(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("MO-proxy-112"), "{answer}");
}

#[tokio::test]
async fn a_body_that_becomes_too_long_is_cut_and_never_reaches_its_end() {
    let limits = GatewayLimits { body_max: Some(100_000), ..GatewayLimits::default() };
    let (world, _server, address, census) = world(limits).await;
    for mut caller in both(address, &world).await {
        let (parts, body) = stepwise();
        let upload = async {
            // Large parts: h2 ends a connection with a flood of small ones by itself.
            while parts.send(data("x".repeat(16_000))).await.is_ok() {}
        };
        let (answer, ()) = tokio::join!(caller.send(Request::post("/").body(body).unwrap()), upload);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(problem(answer).await["code"], "MO-proxy-112");
    }
    eventually("the instance is let go", || census.alive() == 0).await;
    let stats = world.proxy.stats();
    let route = stats.iter().find(|stats| stats.door.caller() == "gateway").unwrap();
    assert_eq!(route.errors.iter().find(|(code, _)| *code == "MO-proxy-112").unwrap().1, 2);
    assert_eq!(route.retries, 0, "what the caller did wrong is not tried again");
}

#[tokio::test]
async fn a_route_may_take_longer_bodies_than_the_others() {
    let world = World::start(EdgePolicy::default()).await;
    let server = measuring(&Census::default()).await;
    world.add(server.address);
    let address = world
        .gateway(|spec| {
            spec.limits.body_max = Some(10);
            let mut upload = spec.routes[0].clone();
            upload.prefix = "/upload".to_owned();
            upload.body = Some(motet_proxy::gateway::BodyLimits { max: None, ..spec.limits.body() });
            spec.routes.push(upload);
        })
        .await;
    let mut caller = Caller::http1(address, &world.group).await;
    let answer = caller.send(Request::post("/upload").body(full("x".repeat(1000))).unwrap()).await.unwrap();
    assert_eq!(text(answer.into_body()).await, "1000");
    let answer = caller.send(Request::post("/").body(full("x".repeat(1000))).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_with_an_answer() {
    let limits = GatewayLimits {
        body_rate_min: Some(1_000_000),
        body_grace: Duration::from_millis(300),
        ..GatewayLimits::default()
    };
    let (world, _server, address, census) = world(limits).await;
    for mut caller in both(address, &world).await {
        let (parts, body) = stepwise();
        parts.send(data("x")).await.unwrap();
        let answer = caller.send(Request::post("/").body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(problem(answer).await["code"], "MO-proxy-113");
    }
    eventually("the instance is let go", || census.alive() == 0).await;
}

#[tokio::test]
async fn who_is_answered_while_it_sends_may_take_its_time() {
    let limits = GatewayLimits {
        body_rate_min: Some(1_000_000),
        body_grace: Duration::from_millis(200),
        ..GatewayLimits::default()
    };
    let world = World::start(EdgePolicy::default()).await;
    let echo = Server::start(|request: Request<Incoming>| async move {
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(request.into_body().map_err(std::io::Error::other).boxed_unsync())
            .unwrap()
    })
    .await;
    world.add(echo.address);
    let address = world.gateway(|spec| spec.limits = limits).await;
    let mut caller = Caller::http2(address, &world.group).await;
    let (parts, body) = stepwise();
    let mut answer = caller.send(Request::post("/").body(body).unwrap()).await.unwrap().into_body();
    for _ in 0..3 {
        // Longer than the grace, and nothing is to happen in it.
        assert!(timeout(Duration::from_millis(300), answer.frame()).await.is_err());
        parts.send(data("still here")).await.unwrap();
        assert_eq!(next(&mut answer).await.unwrap().unwrap().into_data().unwrap(), "still here");
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_told_so_and_closed() {
    let limits = GatewayLimits {
        head_timeout: Duration::from_millis(300),
        idle: Duration::from_secs(60),
        ..GatewayLimits::default()
    };
    let (_world, _server, address, _) = world(limits).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A request first: the limit is one of each head, not of the connection.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let mut answer = Vec::new();
    let mut byte = tokio::time::interval(Duration::from_millis(20));
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.unwrap();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut answer) => if read.unwrap() == 0 { break },
            _ = byte.tick() => drop(stream.write_all(b"x").await),
        }
        assert!(started.elapsed() < LIMIT, "a head may trickle for ever");
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("HTTP/1.1 408") && answer.contains("MO-proxy-113"), "{answer}");
    let (_, body) = answer.split_once("HTTP/1.1 408").unwrap().1.split_once("\r\n\r\n").unwrap();
    let length = body.len().to_string();
    assert!(answer.to_lowercase().contains(&format!("content-length: {length}\r\n")), "{answer}");
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_told_goodbye() {
    let limits = GatewayLimits { idle: Duration::from_millis(300), ..GatewayLimits::default() };
    let (world, _server, address, _) = world(limits).await;
    let mut caller = Caller::http2(address, &world.group).await;
    assert_eq!(caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
    let Caller::Http2(sender, ..) = &mut caller else { unreachable!() };
    let end = Instant::now() + LIMIT;
    while !sender.is_closed() {
        assert!(Instant::now() < end, "it is held for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_gets_another_when_one_ends() {
    let limits = GatewayLimits { connections_per_client_max: Some(2), ..GatewayLimits::default() };
    let (world, _server, address, _) = world(limits).await;
    let [mut first, mut second] = both(address, &world).await;
    for caller in [&mut first, &mut second] {
        assert_eq!(caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
    }
    let refused = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It is closed, or reset, which of the two is a matter of moments.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it is closed in time");
        answer.is_empty()
    };
    assert!(refused().await, "a third connection");
    first.hang_up();
    let end = Instant::now() + LIMIT;
    while refused().await {
        assert!(Instant::now() < end, "a place that became free is not given again");
    }
    assert_eq!(second.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_change_of_the_gateway_does_not_forget_who_is_connected() {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::named("web").await;
    world.add(server.address);
    let limit = |spec: &mut motet_proxy::GatewaySpec| spec.limits.connections_per_client_max = Some(1);
    let address = world.gateway(limit).await;
    let mut caller = Caller::http1(address, &world.group).await;
    assert_eq!(caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
    assert_eq!(world.gateway(limit).await, address);
    assert_eq!(caller.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
    let mut second = TcpStream::connect(address).await.unwrap();
    let _ = second.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = timeout(LIMIT, second.read_to_end(&mut answer)).await.expect("it is closed in time");
    assert!(answer.is_empty());
}

#[tokio::test]
async fn who_opens_streams_and_resets_them_at_once_loses_the_connection() {
    let (world, _server, address, census) = world(GatewayLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // `GET / http x`: three fields of HPACK's static table, and the authority as a literal.
    let block = [0x82, 0x84, 0x86, 0x41, 0x01, b'x'];
    let mut flood = Vec::new();
    for n in 0..2000_u32 {
        let id = (2 * n + 1).to_be_bytes();
        flood.extend([0, 0, 6, 1, 5, id[0], id[1], id[2], id[3]]);
        flood.extend(block);
        flood.extend([0, 0, 4, 3, 0, id[0], id[1], id[2], id[3], 0, 0, 0, 8]);
    }
    let _ = stream.write_all(&flood).await;
    let mut answer = Vec::new();
    let closed = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "it holds its connection");
    eventually("nothing is left running", || census.alive() == 0).await;
    let mut other = Caller::http2(address, &world.group).await;
    assert_eq!(other.send(Request::get("/").body(empty()).unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_endless_header_block_is_not_collected() {
    let (_world, _server, address, _) = world(GatewayLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let flood = async {
        stream.write_all(&[0, 0, 3, 1, 1, 0, 0, 0, 1, 0x82, 0x84, 0x86]).await?;
        // CONTINUATION, never the last one: a literal field of 16 KiB each time.
        let mut frame = vec![0, 0x40, 0, 9, 0, 0, 0, 0, 1, 0x40, 1, b'x', 0x7f, 0xfc, 0x7e];
        frame.resize(9 + 0x4000, b'v');
        for _ in 0..10_000 {
            stream.write_all(&frame).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let ended = timeout(LIMIT, flood).await.expect("it is not read for ever");
    assert!(ended.is_err(), "160 MB of a header block were taken");
}
