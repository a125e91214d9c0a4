//! Who is let in: API keys.

use crate::world::{Caller, Server, World, empty, full, problem, text};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use motet_proxy::{
    EdgePolicy, GatewaySpec,
    gateway::{Access, ApiKey, Need},
};
use std::net::SocketAddr;

/// Shows what it has been told about its caller.
pub(crate) async fn mirror() -> Server {
    Server::start(|request: Request<Incoming>| async move {
        let shown = ["x-motet-subject", "x-motet-auth", "x-api-key", "authorization", "x_motet_subject"];
        let show = |name: &&str| {
            let values: Vec<_> = request.headers().get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
            values.join("+")
        };
        Response::new(full(shown.iter().map(show).collect::<Vec<_>>().join("|")))
    })
    .await
}

async fn world(change: impl FnOnce(&mut GatewaySpec)) -> (World, Server, SocketAddr) {
    let world = World::start(EdgePolicy::default()).await;
    let server = mirror().await;
    world.add(server.address);
    let address = world.gateway(change).await;
    (world, server, address)
}

async fn get(world: &World, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Caller::http1(address, &world.group).await.send(request.body(empty()).unwrap()).await.unwrap()
}

fn key(name: &str, scopes: &[&str]) -> ApiKey {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    ApiKey { scopes, ..ApiKey::from_secret(name, &format!("the-secret-of-{name}")) }
}

#[tokio::test]
async fn a_key_names_its_caller_to_the_service_and_stays_at_the_gateway() {
    let (world, _server, address) = world(|spec| spec.keys = vec![key("ci", &[]), key("partner", &[])]).await;
    let spoofed = ("x-motet-subject", "root");
    let cgi = ("x_motet_subject", "root");
    let answer = get(&world, address, "/", &[("x-api-key", "the-secret-of-ci"), spoofed, cgi]).await;
    assert_eq!(text(answer.into_body()).await, "ci|key|||");
    let answer = get(&world, address, "/", &[("authorization", "Bearer the-secret-of-partner")]).await;
    assert_eq!(text(answer.into_body()).await, "partner|key|||");
    // Beside a key, `Authorization` is between caller and service.
    let both = [("x-api-key", "the-secret-of-ci"), ("authorization", "Basic dTpw")];
    assert_eq!(text(get(&world, address, "/", &both).await.into_body()).await, "ci|key||Basic dTpw|");
}

#[tokio::test]
async fn who_shows_nothing_valid_learns_how_to_and_not_what_was_wrong() {
    let (world, _server, address) = world(|spec| spec.keys = vec![key("ci", &[])]).await;
    let nothing = get(&world, address, "/", &[]).await;
    assert_eq!(nothing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(nothing.headers()["www-authenticate"], "Bearer realm=\"motet\"");
    assert_eq!(problem(nothing).await["code"], "MO-proxy-114");
    let mut details = std::collections::BTreeSet::new();
    for wrong in [
        [("x-api-key", "the-secret-of-cj")],
        [("x-api-key", "")],
        [("authorization", "Bearer the-secret-of-c")],
        [("authorization", "Bearer a b c")],
        [("authorization", "Bearer e30.e30.e30")],
    ] {
        let answer = get(&world, address, "/", &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"motet\", error=\"invalid_token\"");
        details.insert(problem(answer).await["detail"].to_string());
    }
    assert_eq!(details.len(), 1, "{details:?}");
}

#[tokio::test]
async fn a_route_is_open_or_asks_for_certain_keys_and_scopes() {
    let (world, _server, address) = world(|spec| {
        spec.keys = vec![key("ci", &["read", "write"]), key("reader", &["read"])];
        let guarded = |scopes: &[&str], keys: Option<&[&str]>| {
            Access::Guarded(Need {
                keys: keys.map(|keys| keys.iter().map(ToString::to_string).collect()),
                scopes: scopes.iter().map(ToString::to_string).collect(),
                ..Need::default()
            })
        };
        for (prefix, access) in [
            ("/open", Access::Open),
            ("/write", guarded(&["read", "write"], None)),
            ("/only", guarded(&[], Some(&["reader"]))),
        ] {
            let mut route = spec.routes[0].clone();
            route.prefix = prefix.to_owned();
            route.access = Some(access);
            spec.routes.push(route);
        }
    })
    .await;
    let (ci, reader) = (("x-api-key", "the-secret-of-ci"), ("x-api-key", "the-secret-of-reader"));
    // On an open route nothing is read, so nothing is taken away either.
    let answer = get(&world, address, "/open", &[("x-api-key", "whatever"), ("x-motet-subject", "root")]).await;
    assert_eq!(text(answer.into_body()).await, "||whatever||");
    for (path, key, status) in [
        ("/", ci, 200),
        ("/", reader, 200),
        ("/write", ci, 200),
        ("/write", reader, 403),
        ("/only", ci, 403),
        ("/only", reader, 200),
    ] {
        assert_eq!(get(&world, address, path, &[key]).await.status(), status, "{path} {key:?}");
    }
    let refused = get(&world, address, "/write", &[reader]).await;
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(challenge, "Bearer realm=\"motet\", error=\"insufficient_scope\", scope=\"read write\"");
    assert_eq!(problem(refused).await["code"], "MO-proxy-115");
}

#[tokio::test]
async fn a_route_that_asks_for_what_nobody_has_cannot_be() {
    let (world, _server, _address) = world(|_| {}).await;
    let error = world.try_gateway(|spec| spec.routes[0].access = Some(Access::Guarded(Need::default()))).await;
    assert_eq!(error.unwrap_err().code().to_string(), "MO-proxy-007");
}

#[tokio::test]
async fn keys_change_while_connections_stay() {
    let (world, _server, address) = world(|spec| spec.keys = vec![key("old", &[])]).await;
    let mut caller = Caller::http1(address, &world.group).await;
    let mut with = async |key: &str| {
        let request = Request::get("/").header("x-api-key", key).body(empty()).unwrap();
        caller.send(request).await.unwrap().status().as_u16()
    };
    assert_eq!((with("the-secret-of-old").await, with("the-secret-of-new").await), (200, 401));
    assert_eq!(world.gateway(|spec| spec.keys = vec![key("new", &[])]).await, address);
    assert_eq!((with("the-secret-of-old").await, with("the-secret-of-new").await), (401, 200));
}
