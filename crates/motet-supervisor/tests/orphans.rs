//! Nothing outlives a supervisor that is killed. The supervisor and the guard are this test program, started again in another role.

use crate::fixture::{LIMIT, System, eventually, kill, name, runs};
use motet_kernel::{id::SessionId, task::TaskGroup};
use motet_supervisor::{
    Leftovers,
    config::Config,
    end_leftovers, guard,
    port::Silent,
    process::{Options, Processes},
    service::Supervisor,
    spec::{Command, Port, ServiceSpec},
};
use std::{
    ffi::OsString,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::Instant,
};

const ROLE: &str = "SUPERVISOR_TEST_ROLE";
const DIR: &str = "SUPERVISOR_TEST_DIR";

/// Not a test by itself: what the child processes of the tests below run.
#[test]
fn role() {
    match std::env::var(ROLE).as_deref() {
        Ok("guard") => drop(guard::guard_main(std::io::stdin().lock())),
        Ok(role) => supervise(Path::new(&std::env::var(DIR).unwrap()), role == "guarded"),
        Err(_) => {}
    }
}

/// Runs two services, one of which has a child in a session of its own, until it is killed.
#[tokio::main(flavor = "current_thread")]
async fn supervise(dir: &Path, is_guarded: bool) {
    let mut options = Options::new(dir.join("state"));
    if is_guarded {
        let program = std::env::current_exe().unwrap();
        let words = [
            "/usr/bin/env".into(),
            format!("{ROLE}=guard").into(),
            program.into(),
            "orphans::role".into(),
            "--exact".into(),
        ];
        options.guard = Some(words.map(|word: OsString| word).to_vec());
    }
    let processes = Arc::new(Processes::open(options, SessionId::new()).unwrap());
    let config = Config::new(dir.join("state"), dir.join("logs"));
    let supervisor = Supervisor::start(config, processes, Arc::new(Silent), &TaskGroup::new());
    let service = |service: &str, line: &str| {
        let mut spec = ServiceSpec::new(name(service), dir, Command::Shell(line.to_owned()));
        spec.port = Port::None;
        spec
    };
    let deaf =
        "trap '' TERM; echo $$ > deaf; setsid sh -c 'echo $$ > away; exec sleep 1000' & while :; do sleep 0.1; done";
    supervisor
        .apply(vec![service("deaf", deaf), service("plain", "sh -c 'echo $$ > plain; exec sleep 1000'")])
        .await
        .unwrap();
    std::future::pending::<()>().await;
}

/// A child that does not outlive a test that fails.
struct Killed(Child);

impl Killed {
    fn id(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(dir: &Path, role: &str) -> (Killed, Vec<u32>) {
    let program = std::env::current_exe().unwrap();
    let child = std::process::Command::new(program)
        .args(["orphans::role", "--exact"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Killed(child);
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default().trim().parse::<u32>().ok();
    let files = ["deaf", "away", "plain"];
    eventually("services run", || files.iter().all(|file| read(file).is_some_and(runs))).await;
    (child, files.iter().filter_map(|file| read(file)).collect())
}

fn guard_of(supervisor: u32) -> Option<u32> {
    let threads = std::fs::read_dir(format!("/proc/{supervisor}/task")).ok()?;
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: String = children.collect();
    let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let is_guard = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == format!("{ROLE}=guard").as_bytes())
    };
    pids.find(is_guard)
}

#[tokio::test]
async fn nothing_outlives_a_supervisor_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, pids) = start(dir.path(), "guarded").await;
    eventually("guard runs", || guard_of(supervisor.id()).is_some()).await;
    let guard = guard_of(supervisor.id()).unwrap();
    let killed = Instant::now();
    supervisor.kill();
    eventually("all are gone", || !pids.iter().any(|pid| runs(*pid))).await;
    eprintln!("everything ended {:?} after the supervisor", killed.elapsed());
    assert!(killed.elapsed() < std::time::Duration::from_secs(3));
    eventually("the guard has done its work", || !runs(guard)).await;
    assert_eq!(end_leftovers(&dir.path().join("state")).await.unwrap(), Leftovers::None);
}

#[tokio::test]
async fn a_guard_that_dies_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut supervisor, pids) = start(dir.path(), "guarded").await;
    eventually("guard runs", || guard_of(supervisor.id()).is_some()).await;
    let first = guard_of(supervisor.id()).unwrap();
    kill(first);
    eventually("another guard", || guard_of(supervisor.id()).is_some_and(|guard| guard != first)).await;
    supervisor.kill();
    eventually("all are gone", || !pids.iter().any(|pid| runs(*pid))).await;
}

#[tokio::test]
async fn what_is_left_without_a_guard_is_ended_by_the_next_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (mut supervisor, pids) = start(dir.path(), "unguarded").await;
    let running = Leftovers::StillRunning { pid: supervisor.id() };
    assert_eq!(end_leftovers(&state).await.unwrap(), running);
    assert!(pids.iter().all(|pid| runs(*pid)), "a supervisor that runs keeps its services");
    supervisor.kill();
    assert!(pids.iter().all(|pid| runs(*pid)), "nobody guards them");
    let Leftovers::Ended { processes } = end_leftovers(&state).await.unwrap() else { panic!("nothing found") };
    assert!(processes >= 3, "{processes}");
    eventually("all are gone", || !pids.iter().any(|pid| runs(*pid))).await;
    assert_eq!(end_leftovers(&state).await.unwrap(), Leftovers::None);
}

#[tokio::test]
async fn a_record_that_names_processes_which_started_at_another_time_ends_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let pid = bystander.id();
    let record = format!(
        r#"{{"version":1,"session":"sess_0","boot":"{}","supervisor":{{"id":{pid},"start":1}},"groups":[{{"id":{pid},"start":1}}]}}"#,
        boot.trim()
    );
    std::fs::write(dir.path().join("session.json"), record).unwrap();
    assert_eq!(end_leftovers(dir.path()).await.unwrap(), Leftovers::None);
    assert!(runs(pid));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn cancelling_the_group_stops_everything_in_good_order() {
    let system = System::start();
    let spec = system.shell("polite", "trap 'echo bye > bye; exit 0' TERM; touch up; while :; do sleep 0.02; done");
    system.handle.apply(vec![spec]).await.unwrap();
    eventually("up", || system.path().join("up").exists()).await;
    system.group.cancel();
    tokio::time::timeout(LIMIT, system.group.wait()).await.unwrap();
    assert_eq!(system.read("bye"), "bye\n");
    assert!(system.handle.restart(&name("polite")).await.is_err());
}
