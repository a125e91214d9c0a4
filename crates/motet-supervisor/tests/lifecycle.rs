//! From start to stop: order, readiness, restarts, ends.

use crate::fixture::{System, eventually, kill, name, only, runs};
use motet_kernel::backoff::Backoff;
use motet_supervisor::{
    error::ApplyError,
    port::Exit,
    spec::{Check, Command, Dependency, Probe, Restart, ServiceSpec, Until},
    status::{InstanceState, Phase},
};
use std::time::{Duration, Instant};

fn after(service: &str, until: Until) -> Dependency {
    Dependency { service: name(service), until }
}

fn quick_backoff(spec: &mut ServiceSpec) {
    spec.restart.backoff = Backoff { initial: Duration::from_millis(5), max: Duration::from_millis(20), factor: 2.0 };
}

#[tokio::test]
async fn services_start_after_what_they_wait_for_and_stop_before_it() {
    let system = System::start();
    let line = |who: &str| {
        format!(
            "echo {who} up >> order; trap 'echo {who} down >> order; exit 0' TERM; touch {who}.up; while :; do sleep 0.02; done"
        )
    };
    let mut base = system.shell("base", &line("base"));
    base.ready = Some(Probe::readiness(Check::Command(Command::Shell("test -e base.up".to_owned()))));
    let mut job = ServiceSpec::job(name("job"), system.path(), Command::Shell("echo job done >> order".to_owned()));
    job.after = vec![after("base", Until::Ready)];
    let mut top = system.shell("top", &line("top"));
    top.after = vec![after("job", Until::Completed), after("base", Until::Ready)];
    system.handle.apply(vec![top, job, base]).await.unwrap();
    let status = system.settled().await;
    assert_eq!(status.services["job"].phase, Phase::Completed);
    eventually("top is up", || system.read("order").contains("top up")).await;
    system.handle.stop_all().await.unwrap();
    assert_eq!(system.read("order"), "base up\njob done\ntop up\ntop down\nbase down\n");
    system.end().await;
}

#[tokio::test]
async fn each_kind_of_readiness_is_seen() {
    let system = System::start();
    std::fs::write(system.path().join("here"), "x").unwrap();
    let tcp = system.web("tcp");
    let mut http = system.web("http");
    http.ready = Some(Probe::readiness(Check::Http { path: "/here".to_owned() }));
    let mut wrong = system.web("wrong");
    wrong.ready =
        Some(Probe { grace: Duration::from_secs(4), ..Probe::readiness(Check::Http { path: "/nothing".to_owned() }) });
    let mut line = system.shell("line", "echo starting; sleep 0.1; echo 'listening on 7'; sleep 100");
    line.ready = Some(Probe::readiness(Check::Log { pattern: "listening on [0-9]+".to_owned() }));
    let mut command = system.shell("command", "sleep 0.1; touch made; sleep 100");
    command.ready =
        Some(Probe::readiness(Check::Command(Command::Argv(vec!["test".into(), "-e".into(), "made".into()]))));
    system.handle.apply(vec![tcp, http, wrong, line, command]).await.unwrap();
    for service in ["tcp", "http", "line", "command"] {
        system.until_service(service, "ready", |it| it.phase == Phase::Ready).await;
    }
    let wrong =
        system.until_service("wrong", "given up", |it| it.instances.iter().any(|slot| slot.last_exit.is_some())).await;
    let reason = wrong.instances.iter().find_map(|slot| slot.last_exit.clone()).unwrap().reason();
    assert_eq!(reason, "not ready within 4s: GET /nothing answered 404");
    let mut announced = system.announced.words();
    announced.sort();
    assert_eq!(announced, ["ready http-1", "ready tcp-1"]);
    system.end().await;
}

#[tokio::test]
async fn a_killed_instance_is_announced_gone_at_once_and_back_within_a_second_with_its_end_shown() {
    let system = System::start();
    system.handle.apply(vec![system.web("web")]).await.unwrap();
    let before = only(&system.until_service("web", "ready", |it| it.phase == Phase::Ready).await).clone();
    let killed = Instant::now();
    kill(before.pid.unwrap());
    eventually("gone is announced", || system.announced.words().len() == 2).await;
    let gone = system.announced.0.lock().unwrap()[1].clone();
    assert_eq!((gone.0.as_str(), Some(gone.1.instance)), ("gone", before.id));
    assert!(gone.2 - killed < Duration::from_millis(100), "announced after {:?}", gone.2 - killed);
    let is_new =
        |it: &motet_supervisor::status::ServiceStatus| it.phase == Phase::Ready && it.instances[0].id != before.id;
    let after = system.until_service("web", "ready again", is_new).await;
    let after = only(&after).clone();
    let back = Instant::now() - killed;
    eprintln!("gone after {:?}, ready again after {back:?}", gone.2 - killed);
    let started =
        Duration::try_from(after.started_at.unwrap().duration_since(after.last_exit.as_ref().unwrap().at)).unwrap();
    assert!(started < Duration::from_secs(1), "started {started:?} after the end");
    assert_eq!(after.last_exit.as_ref().unwrap().exit, Exit::Signal(9));
    assert_eq!(after.last_exit.unwrap().reason(), "killed by SIGKILL");
    assert_eq!(after.restarts, 1);
    let texts = system.texts("web").await;
    assert!(texts.iter().any(|text| text.starts_with("killed by SIGKILL; starts again in ")), "{texts:?}");
    system.end().await;
}

#[tokio::test]
async fn a_crash_loop_says_why_and_is_still_retried() {
    let system = System::start();
    let mut spec = system.shell("broken", "echo run >> runs; echo 'no such table' >&2; exit 3");
    quick_backoff(&mut spec);
    system.handle.apply(vec![spec]).await.unwrap();
    let status = system.until_service("broken", "crash loop", |it| matches!(it.phase, Phase::CrashLoop { .. })).await;
    let Phase::CrashLoop { reason, lines, failures, .. } = status.phase else { unreachable!() };
    assert_eq!((reason.as_str(), failures >= 5), ("exited with 3", true));
    assert_eq!(lines, ["no such table"]);
    let runs = system.read("runs").len();
    eventually("retried", || system.read("runs").len() > runs).await;
    system.end().await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_so() {
    let system = System::start();
    let mut missing = system.shell("missing", "");
    missing.command = Command::Argv(vec!["./no-such-program".to_owned()]);
    let mut elsewhere = system.shell("elsewhere", "true");
    elsewhere.dir = system.path().join("nowhere");
    system.handle.apply(vec![missing, elsewhere]).await.unwrap();
    let reason = async |service: &str| {
        let status = system
            .until_service(service, "failed", |it| it.instances.iter().any(|slot| slot.last_exit.is_some()))
            .await;
        status.instances[0].last_exit.clone().unwrap().reason()
    };
    assert_eq!(reason("missing").await, "could not be started: program `./no-such-program` not found");
    let nowhere = system.path().join("nowhere");
    assert_eq!(
        reason("elsewhere").await,
        format!("could not be started: directory {} does not exist", nowhere.display())
    );
    system.end().await;
}

#[tokio::test]
async fn restart_policies_hold() {
    let system = System::start();
    let job =
        |service: &str, line: &str| ServiceSpec::job(name(service), system.path(), Command::Shell(line.to_owned()));
    let mut flaky = job("flaky", "if test -e tried; then exit 0; fi; touch tried; exit 1");
    quick_backoff(&mut flaky);
    let mut once = job("once", "echo sad; exit 4");
    once.restart.policy = Restart::Never;
    system.handle.apply(vec![flaky, once]).await.unwrap();
    let flaky = system.until_service("flaky", "completed", |it| it.phase == Phase::Completed).await;
    assert_eq!(only(&flaky).restarts, 1);
    let once = system.until_service("once", "failed", |it| matches!(it.phase, Phase::Failed { .. })).await;
    assert_eq!(once.phase, Phase::Failed { reason: "exited with 4".to_owned(), lines: vec!["sad".to_owned()] });
    assert_eq!(only(&once).state, InstanceState::Ended);
    system.end().await;
}

#[tokio::test]
async fn what_ignores_the_request_to_stop_is_killed_with_all_it_started() {
    let system = System::start();
    let mut deaf = system.shell("deaf", "trap '' TERM; sleep 1000 & echo $! > child; while :; do sleep 0.05; done");
    deaf.stop.grace = Duration::from_millis(200);
    system.handle.apply(vec![deaf]).await.unwrap();
    eventually("child", || !system.read("child").trim().is_empty()).await;
    let child: u32 = system.read("child").trim().parse().unwrap();
    let leader = only(&system.settled().await.services["deaf"]).pid.unwrap();
    assert!(runs(child) && runs(leader));
    system.handle.stop_all().await.unwrap();
    assert!(!runs(child) && !runs(leader));
    assert!(system.texts("deaf").await.contains(&"did not end within 200ms after SIGTERM; killed".to_owned()));
    system.end().await;
}

#[tokio::test]
async fn what_a_dead_instance_leaves_behind_is_ended_even_in_a_session_of_its_own() {
    let system = System::start();
    let mut spec =
        system.shell("parent", "sleep 1000 & echo $! > near; setsid sh -c 'echo $$ > far; exec sleep 1001' & wait");
    spec.restart.policy = Restart::Never;
    system.handle.apply(vec![spec]).await.unwrap();
    eventually("children", || !system.read("far").trim().is_empty()).await;
    let pids: Vec<u32> = ["near", "far"].iter().map(|file| system.read(file).trim().parse().unwrap()).collect();
    kill(only(&system.settled().await.services["parent"]).pid.unwrap());
    system.until_service("parent", "failed", |it| matches!(it.phase, Phase::Failed { .. })).await;
    for pid in pids {
        assert!(!runs(pid), "{pid} is left");
    }
    system.end().await;
}

#[tokio::test]
async fn an_instance_that_stops_answering_is_replaced_and_the_reason_kept() {
    let system = System::start();
    std::fs::write(system.path().join("alive"), "x").unwrap();
    let mut spec = system.web("web");
    let (interval, check) = (Duration::from_millis(30), Check::Http { path: "/alive".to_owned() });
    spec.alive = Some(Probe { interval, failures_max: 2, ..Probe::liveness(check) });
    system.handle.apply(vec![spec]).await.unwrap();
    system.until_service("web", "ready", |it| it.phase == Phase::Ready).await;
    std::fs::remove_file(system.path().join("alive")).unwrap();
    let status =
        system.until_service("web", "failed", |it| it.instances.iter().any(|slot| slot.last_exit.is_some())).await;
    let last = status.instances.iter().find_map(|slot| slot.last_exit.clone()).unwrap();
    assert_eq!(last.reason(), "liveness failed 2 times in a row: GET /alive answered 404");
    std::fs::write(system.path().join("alive"), "x").unwrap();
    system.until_service("web", "ready again", |it| it.phase == Phase::Ready).await;
    system.end().await;
}

#[tokio::test]
async fn a_preparation_runs_once_before_the_first_instance_and_is_retried_when_it_fails() {
    let system = System::start();
    let mut spec = system.shell("store", "echo start >> order; sleep 100");
    spec.prepare =
        Some(Command::Shell("echo migrate $WHERE >> order; test -e tried || { touch tried; exit 1; }".to_owned()));
    spec.env.insert("WHERE".to_owned(), "here".to_owned());
    spec.instances = 2;
    quick_backoff(&mut spec);
    system.handle.apply(vec![spec]).await.unwrap();
    eventually("started", || system.read("order").matches("start").count() == 2).await;
    assert_eq!(system.read("order"), "migrate here\nmigrate here\nstart\nstart\n");
    system.end().await;
}

#[tokio::test]
async fn what_could_never_come_to_rest_is_refused_and_changes_nothing() {
    let system = System::start();
    let mut one = system.shell("one", "sleep 100");
    let mut two = system.shell("two", "sleep 100");
    one.after = vec![after("two", Until::Ready)];
    let alone = system.handle.apply(vec![one.clone()]).await;
    assert!(matches!(alone, Err(ApplyError::Unknown(_))), "{alone:?}");
    two.after = vec![after("one", Until::Started)];
    let error = system.handle.apply(vec![one, two]).await.unwrap_err();
    assert_eq!(error.to_string(), "services wait for each other: one → two → one");
    let mut fixed = system.web("fixed");
    (fixed.port, fixed.instances) = (motet_supervisor::spec::Port::Fixed(1), 2);
    let error = system.handle.apply(vec![fixed]).await.unwrap_err();
    assert_eq!(error.to_string(), "`fixed` cannot have 2 instances: it has a fixed port");
    assert!(system.handle.status().borrow().services.is_empty());
    system.end().await;
}

#[tokio::test]
async fn use_of_cpu_and_memory_is_measured_over_all_that_an_instance_started() {
    let system = System::start();
    let busy = system.shell("busy", "sh -c 'while :; do :; done' & wait");
    system.handle.apply(vec![busy]).await.unwrap();
    let status = system
        .until_service("busy", "measured", |it| it.instances[0].usage.is_some_and(|usage| usage.cpu_percent > 10.0))
        .await;
    let usage = only(&status).usage.unwrap();
    assert!(usage.memory_bytes > 100_000 && usage.cpu_percent < 150.0, "{usage:?}");
    system.end().await;
}
