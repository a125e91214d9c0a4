//! Who is let in: signed tokens, and the keys that they are signed with, which come, change, and cannot always be had.

use crate::{
    gateway_access::mirror,
    issuer::{AUDIENCE, ISSUER, Keys, Published},
    world::{Caller, LIMIT, Server, World, empty, full, nobody, problem, text},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use motet_proxy::{
    EdgePolicy, GatewaySpec,
    gateway::{Access, Algorithm, ApiKey, Issuer, KeysFrom, Need},
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

async fn world(change: impl FnOnce(&mut GatewaySpec)) -> (World, Server, SocketAddr) {
    let world = World::start(EdgePolicy::default()).await;
    let server = mirror().await;
    world.add(server.address);
    let address = world.gateway(change).await;
    (world, server, address)
}

async fn get(world: &World, address: SocketAddr, path: &str, authorization: &str) -> Response<Incoming> {
    let request = Request::get(path).header("authorization", authorization).body(empty()).unwrap();
    Caller::http1(address, &world.group).await.send(request).await.unwrap()
}

fn url(address: SocketAddr) -> KeysFrom {
    KeysFrom::Url { url: format!("http://{address}/keys").parse().unwrap(), ca: None }
}

fn issuer(keys: KeysFrom) -> Issuer {
    Issuer { refresh_min: Duration::from_millis(50), ..Issuer::new(ISSUER, AUDIENCE, keys) }
}

#[tokio::test]
async fn a_token_names_its_caller_and_is_passed_on() {
    let keys = Keys::named(&["a"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys.set(&["a"])).unwrap();
    let (world, _server, address) = world(|spec| {
        spec.issuers = vec![issuer(KeysFrom::File(file.path().to_owned()))];
        spec.keys = vec![ApiKey::from_secret("ci", "the-secret-of-ci")];
    })
    .await;
    let token = keys.bearer("a", &json!({}));
    let answer = get(&world, address, "/", &token).await;
    assert_eq!(text(answer.into_body()).await, format!("anna|token||{token}|"));
    // Keys go by the same header.
    assert_eq!(text(get(&world, address, "/", "Bearer the-secret-of-ci").await.into_body()).await, "ci|key|||");
}

#[tokio::test]
async fn a_token_that_is_not_good_gets_one_answer_whatever_is_wrong_with_it() {
    let keys = Keys::named(&["a", "unpublished"]);
    let published = Published::start(keys.set(&["a"])).await;
    let (world, _server, address) = world(|spec| spec.issuers = vec![issuer(url(published.server.address))]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
    let mut answers = std::collections::BTreeSet::new();
    for wrong in [
        keys.bearer("a", &json!({ "exp": 1 })),
        keys.bearer("a", &json!({ "aud": "other" })),
        keys.bearer("a", &json!({ "iss": "https://other.example.org" })),
        keys.bearer("unpublished", &json!({})),
        keys.bearer("a", &json!({ "sub": "two\nlines" })),
        "Bearer e30.e30.e30".to_owned(),
        format!("{}x", keys.bearer("a", &json!({}))),
    ] {
        let answer = get(&world, address, "/", &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        answers.insert((challenge, problem(answer).await["detail"].to_string()));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_route_asks_for_scopes_and_claims() {
    let keys = Keys::named(&["a"]);
    let published = Published::start(keys.set(&["a"])).await;
    let (world, _server, address) = world(|spec| {
        spec.issuers = vec![issuer(url(published.server.address))];
        spec.keys = vec![ApiKey::from_secret("ci", "the-secret-of-ci")];
        spec.routes[0].access = Some(Access::Guarded(Need {
            scopes: ["ask".to_owned()].into(),
            claims: [("tenant".to_owned(), "acme".to_owned())].into(),
            ..Need::default()
        }));
    })
    .await;
    for (claims, status) in [
        (json!({ "scope": "read ask", "tenant": "acme" }), 200),
        (json!({ "scope": "read", "tenant": "acme" }), 403),
        (json!({ "scope": "ask", "tenant": "other" }), 403),
        (json!({ "scope": "ask" }), 403),
    ] {
        assert_eq!(get(&world, address, "/", &keys.bearer("a", &claims)).await.status(), status, "{claims}");
    }
    assert_eq!(get(&world, address, "/", "Bearer the-secret-of-ci").await.status(), 403, "a key has no claims");
}

#[tokio::test]
async fn a_key_that_is_new_at_the_issuer_is_looked_for_and_an_old_one_is_forgotten() {
    let keys = Keys::named(&["old", "new"]);
    let published = Published::start(keys.set(&["old"])).await;
    let (world, _server, address) = world(|spec| spec.issuers = vec![issuer(url(published.server.address))]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("old", &json!({}))).await.status(), 200);
    *published.document.lock().unwrap() = keys.set(&["new"]);
    let end = Instant::now() + LIMIT;
    while get(&world, address, "/", &keys.bearer("new", &json!({}))).await.status() != 200 {
        assert!(Instant::now() < end, "the new key is never found");
    }
    assert_eq!(get(&world, address, "/", &keys.bearer("old", &json!({}))).await.status(), 401);
}

#[tokio::test]
async fn a_file_of_keys_that_changes_is_read_again() {
    let keys = Keys::named(&["old", "new"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys.set(&["old"])).unwrap();
    let from = KeysFrom::File(file.path().to_owned());
    let (world, _server, address) = world(|spec| spec.issuers = vec![issuer(from)]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("new", &json!({}))).await.status(), 401);
    // Half a file is no reason to let nobody in.
    std::fs::write(file.path(), "{\"keys\":").unwrap();
    assert_eq!(get(&world, address, "/", &keys.bearer("new", &json!({}))).await.status(), 401);
    assert_eq!(get(&world, address, "/", &keys.bearer("old", &json!({}))).await.status(), 200);
    std::fs::write(file.path(), keys.set(&["old", "new"])).unwrap();
    let end = Instant::now() + LIMIT;
    while get(&world, address, "/", &keys.bearer("new", &json!({}))).await.status() != 200 {
        assert!(Instant::now() < end, "the new key is never found");
    }
}

#[tokio::test]
async fn an_issuer_that_dies_takes_nobody_with_it() {
    let keys = Keys::named(&["a", "other"]);
    let published = Published::start(keys.set(&["a"])).await;
    let often = |address| Issuer { refresh: Duration::from_millis(20), ..issuer(url(address)) };
    let (world, _server, address) = world(|spec| spec.issuers = vec![often(published.server.address)]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
    published.server.kill().await;
    let before = Instant::now();
    assert_eq!(get(&world, address, "/", &keys.bearer("other", &json!({}))).await.status(), 401);
    assert!(before.elapsed() < Duration::from_secs(5), "a dead issuer holds requests up");
    for _ in 0..20 {
        assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_issuer_that_was_never_there_is_unavailable_until_it_comes() {
    let keys = Keys::named(&["a"]);
    let place = nobody().await;
    let (world, _server, address) = world(|spec| spec.issuers = vec![issuer(url(place))]).await;
    let answer = get(&world, address, "/", &keys.bearer("a", &json!({}))).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(problem(answer).await["code"], "MO-proxy-116");
}

#[tokio::test]
async fn made_up_tokens_cost_the_issuer_next_to_nothing() {
    let keys = Keys::named(&["a", "made-up"]);
    let published = Published::start(keys.set(&["a"])).await;
    let from = Issuer { refresh_min: Duration::from_secs(3600), ..issuer(url(published.server.address)) };
    let (world, _server, address) = world(|spec| spec.issuers = vec![from]).await;
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(get(&world, address, "/", &keys.bearer("made-up", &json!({}))).await.status(), 401);
    }
    assert_eq!(published.asked.load(SeqCst), 1);
    assert!(started.elapsed() < LIMIT, "each of them waits for a look that will not come");
}

#[tokio::test]
async fn documents_that_are_no_keys_are_bounded_and_change_nothing() {
    let keys = Keys::named(&["a"]);
    let published = Published::start(keys.set(&["a"])).await;
    let often = Issuer { refresh: Duration::from_millis(20), ..issuer(url(published.server.address)) };
    let (world, _server, address) = world(|spec| spec.issuers = vec![often]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
    for document in [
        "no json".to_owned(),
        "{}".to_owned(),
        "x".repeat(3 << 20),
        json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "AA" }] }).to_string(),
    ] {
        *published.document.lock().unwrap() = document;
        let asked = published.asked.load(SeqCst);
        crate::world::eventually("it is asked again", || published.asked.load(SeqCst) > asked + 1).await;
        assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
    }
}

#[tokio::test]
async fn a_redirect_to_keys_of_others_is_not_followed() {
    let keys = Keys::named(&["a"]);
    let published = Published::start(keys.set(&["a"])).await;
    let elsewhere = format!("http://{}/keys", published.server.address);
    let redirect = Server::start(move |_| {
        let to = elsewhere.clone();
        async move { Response::builder().status(302).header("location", to).body(full("moved")).unwrap() }
    })
    .await;
    let (world, _server, address) = world(|spec| spec.issuers = vec![issuer(url(redirect.address))]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 503);
    assert_eq!(published.asked.load(SeqCst), 0);
}

#[tokio::test]
async fn an_algorithm_that_is_not_wanted_and_a_file_that_is_not_there_are_refused() {
    let keys = Keys::named(&["a"]);
    let published = Published::start(keys.set(&["a"])).await;
    let only_rsa = Issuer { algorithms: vec![Algorithm::RS256], ..issuer(url(published.server.address)) };
    let (world, _server, address) = world(|spec| spec.issuers = vec![only_rsa]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 401);
    let missing = issuer(KeysFrom::File("/there/is/no/such/file".into()));
    let error = world.try_gateway(|spec| spec.issuers = vec![missing]).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-proxy-006");
}

#[tokio::test]
async fn a_change_of_the_gateway_keeps_the_keys_that_are_known() {
    let keys = Keys::named(&["a"]);
    let published = Published::start(keys.set(&["a"])).await;
    let from = issuer(url(published.server.address));
    let (world, _server, address) = world(|spec| spec.issuers = vec![from.clone()]).await;
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
    published.server.kill().await;
    let reached = world
        .gateway(|spec| {
            spec.issuers = vec![from];
            spec.limits.body_max = Some(1);
        })
        .await;
    assert_eq!(reached, address);
    assert_eq!(get(&world, address, "/", &keys.bearer("a", &json!({}))).await.status(), 200);
}
