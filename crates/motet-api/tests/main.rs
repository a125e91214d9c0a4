//! The control API through its doors, with a system that is a double.

mod events;
mod jobs;
mod services;

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use motet_api::{
    client::Client,
    document,
    error::{CallError, Refusal},
    exposition::{Family, Format},
    port::{Control, LogQuery},
    server::{self, Tokens},
    wire::{
        Applied, ApplyRequest, LogEvent, LogLine, System, SystemPhase,
        fault::{AddFaults, Door, Effect, Fault, Strike},
    },
};
use motet_kernel::task::TaskGroup;
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::watch;

struct Double {
    system: watch::Sender<Arc<System>>,
}

fn a_system(phase: SystemPhase) -> Arc<System> {
    Arc::new(System {
        system: "demo".into(),
        file: "motet.yaml".into(),
        profiles: vec![],
        session: "sess_1".into(),
        pid: 1,
        started_at: "2026-01-01T00:00:00Z".into(),
        phase,
        gateway: None,
        services: vec![],
        edges: vec![],
        faults: vec![],
    })
}

#[async_trait]
impl Control for Double {
    fn system(&self) -> watch::Receiver<Arc<System>> {
        self.system.subscribe()
    }
    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogEvent>, Refusal> {
        let line = |n: usize| LogLine {
            at: "2026-01-01T00:00:00Z".into(),
            service: query.services.first().cloned().unwrap_or_default(),
            instance: "a-1".into(),
            stream: "out".into(),
            text: format!("line {n}"),
        };
        let lines: Vec<_> = (0..query.tail).map(|n| LogEvent::Line(line(n))).chain([LogEvent::Lost(7)]).collect();
        Ok(stream::iter(lines).boxed())
    }
    async fn restart(&self, service: &str) -> Result<(), Refusal> {
        Err(Refusal::UnknownService { name: service.to_owned(), nearest: Some("embedder".into()) })
    }
    async fn scale(&self, _: &str, instances: u32) -> Result<(), Refusal> {
        if instances > 9 { Err(Refusal::NotPossible("too many".into())) } else { Ok(()) }
    }
    async fn apply(&self, request: ApplyRequest) -> Result<Applied, Refusal> {
        Ok(Applied { added: request.profiles.unwrap_or_default(), ..Applied::default() })
    }
    fn faults(&self) -> Vec<Fault> {
        vec![]
    }
    fn add_faults(&self, request: AddFaults) -> Result<Vec<Fault>, Refusal> {
        let at = "2026-01-01T00:00:00Z".to_owned();
        let fault = |strike: &Strike| Fault {
            door: request.door.clone(),
            effect: strike.effect,
            share: strike.share,
            since: at.clone(),
            until: request.for_ms.map(|_| at.clone()),
        };
        Ok(request.faults.iter().map(fault).collect())
    }
    fn remove_faults(&self, door: Option<Door>) -> Result<Vec<Fault>, Refusal> {
        match door {
            None => Ok(vec![]),
            Some(door) => Err(Refusal::UnknownDoor {
                name: door.to_string(),
                nearest: Some("web->answerer".into()),
                all: (0..22).map(|n| format!("a->b{n}")).collect(),
            }),
        }
    }
    async fn metrics(&self) -> Vec<Family> {
        let mut family = Family::counter("motet_edge_requests", "Requests.");
        family.count(vec![("caller", "web".into())], 7);
        vec![family]
    }
    async fn down(&self) -> Result<(), Refusal> {
        self.system.send_replace(a_system(SystemPhase::Stopping));
        Ok(())
    }
}

struct Served {
    client: Client,
    address: SocketAddr,
    group: TaskGroup,
    _dir: tempfile::TempDir,
}

async fn served() -> Served {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("control.sock");
    let group = TaskGroup::new();
    let control = Arc::new(Double { system: watch::Sender::new(a_system(SystemPhase::Ready)) });
    let tokens = Tokens { control: "secret-token".into(), metrics: "metrics-token".into() };
    let address = server::serve(control, &socket, tokens, &group).await.expect("listening");
    Served { client: Client::new(&socket).expect("client"), address, group, _dir: dir }
}

#[tokio::test]
async fn the_typed_client_and_the_server_understand_each_other() {
    let served = served().await;
    let client = &served.client;
    assert_eq!(client.system().await.expect("system").system, "demo");
    client.scale("a", 3).await.expect("scaled");
    let lines: Vec<_> = client.logs(&["a".into()], 2, false).await.expect("logs").collect().await;
    assert!(matches!(&lines[0], Ok(LogEvent::Line(line)) if line.service == "a" && line.text == "line 0"));
    assert!(matches!(lines[2], Ok(LogEvent::Lost(7))));
    let request = ApplyRequest { profiles: Some(vec!["production".into()]), watch: None };
    assert_eq!(client.apply(&request).await.expect("applied").added, ["production"]);
}

#[tokio::test]
async fn a_refusal_arrives_with_its_reason() {
    let served = served().await;
    let error = served.client.restart("embeder").await.expect_err("unknown");
    assert_eq!(error.to_string(), "there is no service `embeder` in this system (did you mean `embedder`?)");
    let CallError::Refused(problem) = served.client.scale("a", 10).await.expect_err("too many") else {
        panic!("a refusal")
    };
    assert_eq!((problem.status, problem.kind.as_str()), (409, "urn:motet:error:MO-api-102"));
}

#[tokio::test]
async fn whoever_watches_sees_each_change_and_then_the_end() {
    let served = served().await;
    let mut changes = served.client.system_changes().await.expect("watching");
    assert_eq!(changes.next().await.expect("now").expect("system").phase, SystemPhase::Ready);
    served.client.down().await.expect("asked");
    assert_eq!(changes.next().await.expect("change").expect("system").phase, SystemPhase::Stopping);
    served.group.cancel();
}

#[tokio::test]
async fn the_loopback_door_asks_for_the_token_and_for_a_loopback_host() {
    let served = served().await;
    let url = format!("http://{}/v1/system", served.address);
    let http = reqwest::Client::new();
    let status =
        |request: reqwest::RequestBuilder| async { request.send().await.expect("an answer").status().as_u16() };
    assert_eq!(status(http.get(&url)).await, 401);
    assert_eq!(status(http.get(&url).bearer_auth("secret-tokem")).await, 401);
    assert_eq!(status(http.get(&url).bearer_auth("secret-token")).await, 200);
    assert_eq!(status(http.get(&url).bearer_auth("secret-token").header("host", "evil.example")).await, 401);
}

#[tokio::test]
async fn faults_travel_with_their_effects_and_an_unknown_edge_is_answered_with_those_that_exist() {
    let served = served().await;
    let strike = |effect| Strike { effect, share: 0.5 };
    let effects = [
        Effect::LatencyMs(2000),
        Effect::Abort(503),
        Effect::CutAfterBytes(4096),
        Effect::SlowBytesPerSecond(10),
        Effect::Blackhole,
    ];
    let door = Door::Edge("web→answerer".into());
    let request = AddFaults { door: door.clone(), faults: effects.map(strike).to_vec(), for_ms: Some(1) };
    let there = served.client.add_faults(&request).await.expect("added");
    assert_eq!(there.iter().map(|fault| fault.effect).collect::<Vec<_>>(), effects);
    assert!(there.iter().all(|fault| fault.door == door && fault.until.is_some()));
    assert_eq!(served.client.remove_faults(None).await.expect("removed"), []);
    let CallError::Refused(problem) = served.client.remove_faults(Some(&door)).await.expect_err("unknown") else {
        panic!("a refusal")
    };
    assert_eq!((problem.status, problem.kind.as_str()), (404, "urn:motet:error:MO-api-107"));
    assert!(
        problem.detail.contains("no web→answerer (did you mean `web->answerer`?); there are: a->b0, "),
        "{problem:?}"
    );
    assert!(problem.detail.ends_with("a->b19, and 2 more"), "{problem:?}");
}

#[tokio::test]
async fn whoever_removes_faults_says_which() {
    let served = served().await;
    let url = |query: &str| format!("http://{}/v1/faults{query}", served.address);
    let http = reqwest::Client::new();
    for query in ["", "?edge=a->b&all=true", "?edge=a->b&route=/", "?all=false"] {
        let answer = http.delete(url(query)).bearer_auth("secret-token").send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 400, "{query}");
    }
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for_and_their_token_opens_nothing_else() {
    let served = served().await;
    let http = reqwest::Client::new();
    let get = |path: &str, token: &str| http.get(format!("http://{}{path}", served.address)).bearer_auth(token);
    let send = |request: reqwest::RequestBuilder| async { request.send().await.expect("an answer") };
    assert_eq!(send(get("/metrics", "guessed-token")).await.status().as_u16(), 401);
    assert_eq!(send(get("/v1/system", "metrics-token")).await.status().as_u16(), 401);
    let text = send(get("/metrics", "metrics-token")).await;
    assert_eq!(text.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.text().await.expect("text").ends_with("\nmotet_edge_requests_total{caller=\"web\"} 7\n"));
    let open =
        send(get("/metrics", "secret-token").header("accept", "application/openmetrics-text; version=1.0.0")).await;
    assert_eq!(open.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().await.expect("text").ends_with("\n# EOF\n"));
    assert!(
        served
            .client
            .metrics(Format::Text)
            .await
            .expect("metrics")
            .contains("# TYPE motet_edge_requests_total counter")
    );
}

#[test]
fn the_document_in_the_repository_is_the_one_that_the_handlers_make() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/control-api.openapi.json");
    let made = document::openapi_json();
    if std::env::var_os("MOTET_UPDATE").is_some() {
        std::fs::write(path, &made).expect("written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "schema/control-api.openapi.json has drifted: run the tests with MOTET_UPDATE=1 and look at the difference"
    );
}
