//! Changes of what is wanted while it runs.

use crate::fixture::{LIMIT, System, name, only, runs};
use motet_supervisor::{
    spec::Port,
    status::{InstanceState, Phase},
};
use std::time::Duration;

#[tokio::test]
async fn scaling_adds_and_removes_the_highest_numbers_and_keeps_the_rest() {
    let system = System::start();
    system.handle.apply(vec![system.web("web")]).await.unwrap();
    let first = only(&system.settled().await.services["web"]).clone();
    system.handle.scale(&name("web"), 3).await.unwrap();
    let three = system.until_service("web", "three", |it| it.ready == 3).await;
    let labels: Vec<_> = three.instances.iter().map(|it| it.label.as_str()).collect();
    assert_eq!(labels, ["web-1", "web-2", "web-3"]);
    let ports: std::collections::BTreeSet<_> = three.instances.iter().map(|it| it.port.unwrap()).collect();
    assert_eq!(ports.len(), 3);
    system.handle.scale(&name("web"), 1).await.unwrap();
    let one = system.until_service("web", "one", |it| it.instances.len() == 1).await;
    assert_eq!(only(&one).id, first.id);
    system.handle.scale(&name("web"), 0).await.unwrap();
    system.until_service("web", "stopped", |it| it.phase == Phase::Stopped).await;
    assert!(!runs(first.pid.unwrap()));
    system.end().await;
}

#[tokio::test]
async fn a_rolling_restart_has_a_new_instance_ready_before_an_old_one_drains() {
    let system = System::start();
    let mut web = system.web("web");
    web.instances = 2;
    system.handle.apply(vec![web]).await.unwrap();
    system.settled().await;
    let mut status = system.handle.status();
    let generation = system.handle.restart(&name("web")).await.unwrap();
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let now = status.borrow_and_update().services["web"].clone();
        assert!(now.ready >= 2, "{now:#?}");
        assert!(now.instances.len() <= 3, "{now:#?}");
        if now.generation == generation && now.is_settled() {
            break;
        }
        tokio::time::timeout_at(deadline, status.changed()).await.expect("in time").unwrap();
    }
    let announced = system.announced.words();
    let expected = ["ready web-1", "draining web-1", "gone web-1", "ready web-2", "draining web-2", "gone web-2"];
    assert_eq!(announced[2..], expected);
    system.end().await;
}

#[tokio::test]
async fn a_version_that_never_gets_ready_leaves_the_old_one_serving() {
    let system = System::start();
    let web = system.web("web");
    system.handle.apply(vec![web.clone()]).await.unwrap();
    let old = only(&system.settled().await.services["web"]).clone();
    let mut broken = web.clone();
    broken.command = motet_supervisor::spec::Command::Shell("echo broken; exit 1".to_owned());
    system.handle.apply(vec![broken]).await.unwrap();
    let status = system
        .until_service("web", "the new version fails", |it| {
            it.instances.iter().any(|slot| slot.last_exit.is_some() && slot.restarts > 0)
        })
        .await;
    assert!(status.instances.iter().any(|it| it.id == old.id && it.state == InstanceState::Ready), "{status:#?}");
    system.handle.apply(vec![web]).await.unwrap();
    system.until_service("web", "settled again", |it| it.is_settled()).await;
    system.end().await;
}

#[tokio::test]
async fn a_fixed_port_is_let_go_before_the_next_instance_takes_it() {
    let system = System::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut web = system.web("web");
    web.port = Port::Fixed(port);
    system.handle.apply(vec![web]).await.unwrap();
    let old = only(&system.settled().await.services["web"]).clone();
    let generation = system.handle.restart(&name("web")).await.unwrap();
    let new = system.until_service("web", "replaced", |it| it.generation == generation && it.is_settled()).await;
    let new = only(&new);
    assert!(new.id != old.id && new.port == Some(port) && new.last_exit.is_none(), "{new:?}");
    assert!(system.handle.scale(&name("web"), 2).await.is_err());
    system.end().await;
}

#[tokio::test]
async fn another_wanted_set_replaces_what_changed_stops_what_is_missing_and_leaves_the_rest() {
    let system = System::start();
    let (same, mut changed, gone) = (system.web("same"), system.web("changed"), system.web("gone"));
    system.handle.apply(vec![same.clone(), changed.clone(), gone]).await.unwrap();
    let before = system.settled().await;
    changed.env.insert("MODE".to_owned(), "new".to_owned());
    let new = system.web("new");
    system.handle.apply(vec![same, changed, new]).await.unwrap();
    let after = system.until("new set", |status| !status.services.contains_key("gone") && status.is_settled()).await;
    let id = |status: &motet_supervisor::status::Status, service: &str| only(&status.services[service]).id;
    assert_eq!(id(&before, "same"), id(&after, "same"));
    assert_ne!(id(&before, "changed"), id(&after, "changed"));
    assert!(id(&after, "new").is_some());
    assert!(!runs(only(&before.services["gone"]).pid.unwrap()));
    assert!(system.handle.restart(&name("gone")).await.is_err());
    system.end().await;
}

#[tokio::test]
async fn everything_stopped_starts_again_when_it_is_wanted_again() {
    let system = System::start();
    let web = system.web("web");
    system.handle.apply(vec![web.clone()]).await.unwrap();
    system.settled().await;
    system.handle.stop_all().await.unwrap();
    assert_eq!(system.handle.status().borrow().services["web"].phase, Phase::Stopped);
    system.handle.apply(vec![web]).await.unwrap();
    let web = system.until_service("web", "ready", |it| it.phase == Phase::Ready).await;
    assert!(only(&web).pid.is_some_and(runs));
    assert!(system.handle.wait_for(Duration::from_millis(1), |status| status.stopping).await.is_none());
    system.end().await;
}
