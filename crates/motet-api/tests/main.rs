//! The control API through its doors, with a system that is a double.

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use motet_api::{
    client::Client,
    document,
    error::{CallError, Refusal},
    port::{Control, LogQuery},
    server,
    wire::{Applied, ApplyRequest, LogEvent, LogLine, System, SystemPhase},
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
    let address = server::serve(control, &socket, "secret-token", &group).await.expect("listening");
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
    assert_eq!(error.to_string(), "there is no service `embeder` in this system; did you mean `embedder`?");
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
