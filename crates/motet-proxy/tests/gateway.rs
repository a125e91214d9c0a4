//! The public way in.

use crate::world::{Caller, Server, World, empty, full, problem, text};
use http::{Request, Response, StatusCode};
use motet_kernel::endpoint::EndpointSet;
use motet_proxy::{Door, EdgePolicy, GatewaySpec, RouteSpec, gateway::GatewayLimits};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

/// Answers with the path and some headers that it saw.
async fn mirror(name: &'static str) -> Server {
    Server::start(move |request: Request<_>| async move {
        let shown =
            ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-motet-caller"];
        let mut text = format!("{name} {}\n", request.uri());
        for header in shown {
            let values: Vec<_> = request.headers().get_all(header).iter().map(|v| v.to_str().unwrap()).collect();
            text += &format!("{header}: {}\n", values.join(" | "));
        }
        Response::new(full(text))
    })
    .await
}

fn route(prefix: &str, service: &str, strip_prefix: bool, world: &World) -> RouteSpec {
    RouteSpec { strip_prefix, ..RouteSpec::new(prefix, service.parse().unwrap(), world.set.subscribe()) }
}

async fn gateway(world: &World, routes: Vec<RouteSpec>) -> SocketAddr {
    let spec = GatewaySpec::new("127.0.0.1:0".parse().unwrap(), routes);
    world.proxy.apply(vec![world.spec(EdgePolicy::default())], Some(spec)).await.unwrap().gateway.unwrap()
}

#[tokio::test]
async fn the_longest_prefix_wins_and_without_one_there_is_a_problem() {
    let (web, api) = (World::start(EdgePolicy::default()).await, World::start(EdgePolicy::default()).await);
    let (web_server, api_server) = (mirror("web").await, mirror("api").await);
    web.add(web_server.address);
    api.add(api_server.address);
    let routes = vec![route("/app", "web", false, &web), route("/app/api", "api", true, &api)];
    let address = gateway(&web, routes).await;
    let mut caller = Caller::http1(address, &web.group).await;
    let mut get = async |path: &str| caller.send(Request::get(path).body(empty()).unwrap()).await.unwrap();
    let first_line = async |response: Response<_>| text(response.into_body()).await.lines().next().unwrap().to_owned();
    assert_eq!(first_line(get("/app/apis?x=1").await).await, "web /app/apis?x=1");
    assert_eq!(first_line(get("/app/api/ask?x=1").await).await, "api /ask?x=1");
    assert_eq!(first_line(get("/app/api").await).await, "api /");
    let answer = get("/other").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(answer).await["code"], "MO-proxy-101");
    let doors: Vec<_> = web.proxy.stats().into_iter().map(|stats| (stats.door.to_string(), stats.requests)).collect();
    assert!(doors.contains(&("gateway→api".to_owned(), 2)), "{doors:?}");
    assert!(
        web.proxy.stats().iter().any(|stats| matches!(&stats.door, Door::Route { prefix, .. } if &**prefix == "/app"))
    );
}

#[tokio::test]
async fn the_gateway_says_whom_it_serves_and_believes_nobody_about_it() {
    let world = World::start(EdgePolicy::default()).await;
    let server = mirror("web").await;
    world.add(server.address);
    let address = gateway(&world, vec![route("/", "web", false, &world)]).await;
    let mut caller = Caller::http1(address, &world.group).await;
    let request = Request::get("/")
        .header("host", "example.org")
        .header("x-forwarded-for", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-motet-caller", "root")
        .body(empty())
        .unwrap();
    let answer = caller.send(request).await.unwrap();
    assert_eq!(answer.headers()["via"], "1.1 motet");
    let seen = text(answer.into_body()).await;
    for line in [
        "host: example.org",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: example.org",
        "x-forwarded-proto: http",
        "forwarded: for=127.0.0.1;host=\"example.org\";proto=http",
        "via: 1.1 motet",
        "x-motet-caller: gateway",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line:?} in:\n{seen}");
    }
    // On an edge the callee is addressed by its own address, and what the gateway said is passed on.
    let request = Request::get("/").header("x-forwarded-for", "1.2.3.4").body(empty()).unwrap();
    let seen = text(world.send(request).await.into_body()).await;
    assert!(
        seen.contains(&format!("host: {}\n", server.address)) && seen.contains("x-forwarded-for: 1.2.3.4\n"),
        "{seen}"
    );
    assert!(seen.contains("x-motet-caller: caller\n") && seen.contains("via: \n"), "{seen}");
}

#[tokio::test]
async fn who_sends_no_request_is_hung_up_on() {
    let world = World::start(EdgePolicy::default()).await;
    let limit = Duration::from_millis(200);
    let limits = GatewayLimits { idle: limit, head_timeout: limit, ..GatewayLimits::default() };
    let spec = GatewaySpec { limits, ..GatewaySpec::new("127.0.0.1:0".parse().unwrap(), vec![]) };
    let address = world.proxy.apply(vec![], Some(spec)).await.unwrap().gateway.unwrap();
    for beginning in [&b""[..], b"G", b"PR", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "{beginning:?} holds a connection");
    }
}

#[tokio::test]
async fn the_same_route_twice_is_an_error() {
    let world = World::start(EdgePolicy::default()).await;
    let (_set, endpoints) = watch::channel(EndpointSet::default());
    let routes = ["/api", "/api/"]
        .map(|prefix| RouteSpec { endpoints: endpoints.clone(), ..route(prefix, "web", false, &world) });
    let spec = GatewaySpec::new("127.0.0.1:0".parse().unwrap(), routes.into());
    let error = world.proxy.apply(vec![], Some(spec)).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-proxy-003");
}
