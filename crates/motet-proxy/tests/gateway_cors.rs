//! Cross-origin requests through the gateway.

use crate::world::{Caller, Server, World, empty, full, problem, text};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use motet_proxy::{
    EdgePolicy, GatewaySpec,
    gateway::{ApiKey, Cors},
};
use std::net::SocketAddr;

/// A service that has ideas of its own about origins, and counts who asks it.
async fn world(change: impl FnOnce(&mut GatewaySpec)) -> (World, Server, SocketAddr) {
    let world = World::start(EdgePolicy::default()).await;
    let server = Server::start(|request: Request<Incoming>| async move {
        let builder = Response::builder().header("access-control-allow-origin", "*").header("vary", "accept");
        builder.body(full(format!("{} by the service", request.method()))).unwrap()
    })
    .await;
    world.add(server.address);
    let address = world.gateway(change).await;
    (world, server, address)
}

fn cors(origin: &str, credentials: bool) -> Cors {
    Cors { origins: vec![origin.parse().unwrap()], credentials, ..Cors::default() }
}

async fn send(world: &World, address: SocketAddr, method: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
    let mut request = Request::builder().method(method).uri("/api");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Caller::http1(address, &world.group).await.send(request.body(empty()).unwrap()).await.unwrap()
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

const PREFLIGHT: [(&str, &str); 2] =
    [("access-control-request-method", "POST"), ("access-control-request-headers", "x")];

#[tokio::test]
async fn a_preflight_is_answered_without_the_service_and_without_a_key() {
    let (world, server, address) = world(|spec| {
        spec.cors = Some(cors("https://app.example.org", true));
        spec.keys = vec![ApiKey::from_secret("ci", "a-long-secret")];
    })
    .await;
    server.kill().await;
    let headers = [&[("origin", "https://app.example.org")], &PREFLIGHT[..]].concat();
    let answer = send(&world, address, "OPTIONS", &headers).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let said = answer.headers();
    assert_eq!(said["access-control-allow-origin"], "https://app.example.org");
    assert_eq!(said["access-control-allow-credentials"], "true");
    assert!(said["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    let vary = all(said, "vary").join(", ");
    assert!(vary.contains("origin") && vary.contains("access-control-request-headers"), "{vary}");

    let headers = [&[("origin", "https://evil.org")], &PREFLIGHT[..]].concat();
    let answer = send(&world, address, "OPTIONS", &headers).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    assert_eq!(problem(answer).await["code"], "MO-proxy-117");
}

#[tokio::test]
async fn what_the_service_says_about_origins_is_replaced() {
    let (world, _server, address) = world(|spec| spec.cors = Some(cors("https://app.example.org", false))).await;
    let answer = send(&world, address, "GET", &[("origin", "https://app.example.org")]).await;
    assert_eq!(all(answer.headers(), "access-control-allow-origin"), ["https://app.example.org"]);
    assert_eq!(all(answer.headers(), "vary"), ["accept", "origin"]);
    let answer = send(&world, address, "GET", &[("origin", "https://evil.org")]).await;
    assert_eq!(all(answer.headers(), "access-control-allow-origin"), Vec::<String>::new());
    assert_eq!(text(answer.into_body()).await, "GET by the service", "it is the browser that keeps it from the page");
}

#[tokio::test]
async fn without_a_rule_it_is_the_services_business() {
    let (world, _server, address) = world(|_| {}).await;
    let headers = [&[("origin", "https://evil.org")], &PREFLIGHT[..]].concat();
    let answer = send(&world, address, "OPTIONS", &headers).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(text(answer.into_body()).await, "OPTIONS by the service");
}

#[tokio::test]
async fn a_page_may_read_why_it_was_refused() {
    let (world, _server, address) = world(|spec| {
        spec.cors = Some(cors("https://*.example.org", false));
        spec.keys = vec![ApiKey::from_secret("ci", "a-long-secret")];
    })
    .await;
    let answer = send(&world, address, "GET", &[("origin", "https://app.example.org")]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.org");
}

#[tokio::test]
async fn a_route_may_have_a_rule_of_its_own() {
    let (world, _server, address) = world(|spec| {
        spec.cors = Some(cors("*", false));
        let mut route = spec.routes[0].clone();
        route.prefix = "/api".to_owned();
        route.cors = Some(cors("https://app.example.org", false));
        spec.routes.push(route);
    })
    .await;
    let answer = send(&world, address, "GET", &[("origin", "https://other.org")]).await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn cookies_for_every_origin_are_refused_and_nothing_changes() {
    let (world, _server, address) = world(|_| {}).await;
    let error = world.try_gateway(|spec| spec.cors = Some(cors("*", true))).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-proxy-007");
    assert_eq!(send(&world, address, "GET", &[]).await.status(), 200);
}
