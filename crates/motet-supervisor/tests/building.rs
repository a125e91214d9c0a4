//! Builds: skipped when nothing changed, shared, and harmless when they fail.

use crate::fixture::{System, name, only};
use motet_supervisor::{
    service::RebuildError,
    spec::{Build, Command},
    status::{BuildStatus, Phase},
};

fn build(line: &str) -> Option<Build> {
    Some(Build { inputs: vec!["src/**".to_owned()], ..Build::new(Command::Shell(line.to_owned())) })
}

#[tokio::test]
async fn a_build_runs_when_its_inputs_changed_and_only_then() {
    let system = System::start();
    std::fs::create_dir(system.path().join("src")).unwrap();
    std::fs::write(system.path().join("src/a"), "1").unwrap();
    let mut app = system.shell("app", "sleep 100");
    app.build = build("echo built >> builds");
    system.handle.apply(vec![app]).await.unwrap();
    system.settled().await;
    system.handle.rebuild(&name("app")).await.unwrap();
    assert_eq!(system.read("builds"), "built\n");
    std::fs::write(system.path().join("src/a"), "2").unwrap();
    let before = only(&system.settled().await.services["app"]).id;
    system.handle.rebuild(&name("app")).await.unwrap();
    let after = system.until_service("app", "replaced", |it| it.is_settled() && it.instances[0].id != before).await;
    assert_eq!(system.read("builds"), "built\nbuilt\n");
    assert_eq!(only(&after).restarts, 0);
    system.end().await;
}

#[tokio::test]
async fn a_failed_rebuild_keeps_what_runs_and_says_why() {
    let system = System::start();
    std::fs::create_dir(system.path().join("src")).unwrap();
    let mut app = system.web("app");
    app.build = build("echo 'error: expected `;`' >&2; test ! -e src/bad");
    system.handle.apply(vec![app]).await.unwrap();
    let before = only(&system.settled().await.services["app"]).id;
    std::fs::write(system.path().join("src/bad"), "").unwrap();
    let error = system.handle.rebuild(&name("app")).await.unwrap_err();
    let lines = vec!["error: expected `;`".to_owned()];
    let reason = "the build exited with 1".to_owned();
    assert_eq!(error, RebuildError::Failed { reason: reason.clone(), lines: lines.clone() });
    let status = system.handle.status().borrow().services["app"].clone();
    assert_eq!((only(&status).id, status.phase), (before, Phase::Ready));
    assert_eq!(status.build, BuildStatus::Failed { reason, lines });
    std::fs::remove_file(system.path().join("src/bad")).unwrap();
    system.handle.rebuild(&name("app")).await.unwrap();
    system.until_service("app", "replaced", |it| it.is_settled() && it.instances[0].id != before).await;
    system.end().await;
}

#[tokio::test]
async fn a_first_build_that_fails_starts_nothing_and_shows_its_last_lines() {
    let system = System::start();
    let mut app = system.shell("app", "touch started; sleep 100");
    app.build = build("seq 1 100; exit 2");
    system.handle.apply(vec![app]).await.unwrap();
    let status = system.until_service("app", "failed", |it| matches!(it.phase, Phase::BuildFailed { .. })).await;
    let Phase::BuildFailed { reason, lines } = status.phase else { unreachable!() };
    assert_eq!(reason, "the build exited with 2");
    assert_eq!(lines, (71..=100).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(!system.path().join("started").exists());
    system.end().await;
}

#[tokio::test]
async fn services_with_the_same_build_build_once() {
    let system = System::start();
    let apps = ["one", "two", "three"].map(|service| {
        let mut app = system.shell(service, "sleep 100");
        app.build = build("echo begin >> builds; sleep 0.2; echo end >> builds");
        app
    });
    system.handle.apply(apps.to_vec()).await.unwrap();
    system.settled().await;
    assert_eq!(system.read("builds"), "begin\nend\n");
    system.end().await;
}

#[tokio::test]
async fn a_build_is_broken_off_when_everything_stops() {
    let system = System::start();
    let mut app = system.shell("app", "sleep 100");
    app.build = build("touch begun; sleep 100");
    system.handle.apply(vec![app]).await.unwrap();
    crate::fixture::eventually("begun", || system.path().join("begun").exists()).await;
    system.handle.stop_all().await.unwrap();
    assert_eq!(system.handle.status().borrow().services["app"].phase, Phase::Stopped);
    system.end().await;
}

#[tokio::test]
async fn a_program_that_a_skipped_build_no_longer_provides_is_built_again() {
    let system = System::start();
    let mut app = system.shell("app", "./program");
    app.build = build("echo built >> builds; printf '#!/bin/sh\\nexec sleep 100\\n' > program; chmod +x program");
    system.handle.apply(vec![app.clone()]).await.unwrap();
    system.settled().await;
    system.handle.apply(vec![]).await.unwrap();
    system.until("gone", |status| status.services.is_empty()).await;
    std::fs::remove_file(system.path().join("program")).unwrap();
    system.handle.apply(vec![app]).await.unwrap();
    crate::fixture::eventually("built again", || system.read("builds") == "built\nbuilt\n").await;
    system.until_service("app", "runs", |it| it.is_settled() && it.instances[0].pid.is_some()).await;
    system.end().await;
}
