//! A supervisor with directories of its own, and what tests ask of it.

use async_trait::async_trait;
use motet_kernel::{id::SessionId, name::ServiceName, task::TaskGroup};
use motet_supervisor::{
    config::Config,
    logs::LogLine,
    port::{Announce, Member},
    process::{Options, Processes},
    service::{Handle, Supervisor},
    spec::{Command, Port, ServiceSpec},
    status::{InstanceStatus, ServiceStatus, Status},
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Longer than anything takes on a machine that does other things too.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// What was announced, in order, with the moment.
#[derive(Debug, Default)]
pub(crate) struct Announced(pub(crate) Mutex<Vec<(String, Member, Instant)>>);

impl Announced {
    fn push(&self, what: &str, member: &Member) {
        self.0.lock().unwrap().push((what.to_owned(), member.clone(), Instant::now()));
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(what, member, _)| format!("{what} {}", member.label)).collect()
    }
}

#[async_trait]
impl Announce for Announced {
    fn ready(&self, member: &Member) {
        self.push("ready", member);
    }
    fn draining(&self, member: &Member) {
        self.push("draining", member);
    }
    fn gone(&self, member: &Member) {
        self.push("gone", member);
    }
}

pub(crate) struct System {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) group: TaskGroup,
    pub(crate) handle: Handle,
    pub(crate) announced: Arc<Announced>,
}

impl System {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let group = TaskGroup::new();
        let processes = Processes::open(Options::new(dir.path().join("state")), SessionId::new()).unwrap();
        let mut config = Config::new(dir.path().join("state"), dir.path().join("logs"));
        config.sample_interval = Duration::from_millis(200);
        let announced = Arc::<Announced>::default();
        let handle =
            Supervisor::start(config, Arc::new(processes), Arc::clone(&announced) as Arc<dyn Announce>, &group);
        Self { dir, group, handle, announced }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A service without a port that runs a line of shell in the system's directory.
    pub(crate) fn shell(&self, service: &str, line: &str) -> ServiceSpec {
        let mut spec = ServiceSpec::new(name(service), self.path(), Command::Shell(line.to_owned()));
        spec.port = Port::None;
        spec
    }

    /// A service that answers HTTP on its port.
    pub(crate) fn web(&self, service: &str) -> ServiceSpec {
        let line = "python3 -m http.server --bind 127.0.0.1 $PORT";
        let mut spec = ServiceSpec::new(name(service), self.path(), Command::Shell(line.to_owned()));
        spec.stop.drain = Duration::ZERO;
        spec
    }

    pub(crate) async fn until(&self, what: &str, holds: impl FnMut(&Status) -> bool) -> Arc<Status> {
        match self.handle.wait_for(LIMIT, holds).await {
            Some(status) => status,
            None => panic!("never: {what}; now: {:#?}", self.handle.status().borrow()),
        }
    }

    pub(crate) async fn until_service(
        &self,
        service: &str,
        what: &str,
        mut holds: impl FnMut(&ServiceStatus) -> bool,
    ) -> ServiceStatus {
        let status = self.until(what, |status| status.services.get(service).is_some_and(&mut holds)).await;
        status.services[service].clone()
    }

    pub(crate) async fn settled(&self) -> Arc<Status> {
        self.until("settled", Status::is_settled).await
    }

    pub(crate) async fn texts(&self, service: &str) -> Vec<String> {
        let lines = self.handle.logs().last(&name(service), 1_000).await.unwrap();
        lines.into_iter().map(|LogLine { text, .. }| text).collect()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap_or_default()
    }

    pub(crate) async fn end(self) {
        self.group.cancel();
        tokio::time::timeout(LIMIT, self.group.wait()).await.expect("everything ends");
    }
}

pub(crate) fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub(crate) fn only(service: &ServiceStatus) -> &InstanceStatus {
    assert_eq!(service.instances.len(), 1, "{service:#?}");
    &service.instances[0]
}

pub(crate) fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// Whether a process runs; one that ended and waits to be taken note of does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

/// Waits until something holds that no picture shows.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
