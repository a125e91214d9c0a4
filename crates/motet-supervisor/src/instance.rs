//! The life of one instance: started, watched, stopped. One task each.
//!
//! Whether there should be an instance is decided elsewhere; here is what belongs to one: its probes, its end, and the order of steps in which it
//! leaves. Whatever happens to an instance is announced first and reported second, because from the announcement follows who gets requests.

use crate::{
    logs::Output,
    port::{Announce, Exit, Launch, Member, Order},
    probe::Target,
    spec::{Check, PORT_PLACEHOLDER, ServiceSpec, Signal},
};
use motet_kernel::{endpoint::Authority, id::InstanceId, name::ServiceName, quantity};
use std::{future, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

/// What an instance that ended by itself may leave running for so long.
const CLEAR_PATIENCE: Duration = Duration::from_millis(250);
/// One that does not answer is asked to end for so long at most: it has shown that it does not react.
const FAILED_GRACE_MAX: Duration = Duration::from_secs(2);
/// The kernel needs a moment to end what was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// What happened to an instance.
#[derive(Debug)]
pub(crate) enum Event {
    Started { pid: Option<u32> },
    Ready,
    Failing,
    Exited { exit: Exit, why: Option<String>, lines: Vec<String> },
}

/// An event and whom it is about.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) service: ServiceName,
    pub(crate) instance: InstanceId,
    pub(crate) event: Event,
}

/// One instance to run.
pub(crate) struct Run {
    pub(crate) id: InstanceId,
    pub(crate) label: Arc<str>,
    pub(crate) spec: Arc<ServiceSpec>,
    pub(crate) port: Option<u16>,
    pub(crate) output: Output,
    pub(crate) launch: Arc<dyn Launch>,
    pub(crate) announce: Arc<dyn Announce>,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// Why an instance is watched no longer.
enum End {
    Exited(Exit),
    Failed(String),
    Stop,
}

impl Run {
    /// Runs the instance to its end. `stop` carries why it is to be stopped; the end of its sender means stop too.
    pub(crate) async fn run(self, mut stop: watch::Receiver<Option<&'static str>>) {
        let mut output = self.output.clone();
        let mut line = None;
        if let Some(probe) = self.spec.readiness()
            && let Check::Log { pattern } = &probe.check
            && let Ok(expression) = regex::Regex::new(pattern)
        {
            let (looking, seen) = output.looking_for(expression);
            (output, line) = (looking, Some(seen));
        }
        let started = match self.launch.start(self.order(output)).await {
            Ok(started) => started,
            Err(error) => return self.exited(Exit::NotStarted(error.reason), None).await,
        };
        self.report(Event::Started { pid: started.pid }).await;
        let member = self.port.map(|port| self.member(started.host, port));
        let address = Target::address(started.host, self.port);
        let target = Target { instance: self.id, address, launch: Arc::clone(&self.launch), line };
        let mut announced = None;
        let end = tokio::select! {
            biased;
            exit = self.launch.wait(self.id) => End::Exited(exit),
            _ = stop.wait_for(Option::is_some) => End::Stop,
            reason = self.watch(target, member, &mut announced) => End::Failed(reason),
        };
        self.end(end, announced).await;
    }

    fn order(&self, output: Output) -> Order {
        let port = self.port.map(|port| port.to_string());
        let fill = |text: &String| text.replace(PORT_PLACEHOLDER, port.as_deref().unwrap_or_default());
        let mut env: Vec<_> = self.spec.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        env.extend(port.clone().map(|port| ("PORT".to_owned(), port)));
        let command = match &self.spec.command {
            crate::spec::Command::Argv(words) => crate::spec::Command::Argv(words.iter().map(fill).collect()),
            shell @ crate::spec::Command::Shell(_) => shell.clone(),
        };
        let (service, dir) = (self.spec.name.clone(), self.spec.dir.clone());
        Order { instance: self.id, service, dir, command, port: self.port, is_build: false, env, output }
    }

    fn member(&self, host: IpAddr, port: u16) -> Member {
        let address = Authority { host: host.to_string().into(), port };
        Member { instance: self.id, service: self.spec.name.clone(), label: Arc::clone(&self.label), address }
    }

    /// Waits for readiness, announces it, and watches from then on. Returns only why the instance failed.
    async fn watch(&self, mut target: Target, member: Option<Member>, announced: &mut Option<Member>) -> String {
        if let Some(probe) = self.spec.readiness()
            && let Err(reason) = target.until_ready(&probe).await
        {
            return reason;
        }
        if let Some(member) = member {
            self.announce.ready(&member);
            *announced = Some(member);
        }
        self.report(Event::Ready).await;
        match &self.spec.alive {
            Some(probe) => target.until_dead(probe).await,
            None => future::pending().await,
        }
    }

    async fn end(&self, end: End, announced: Option<Member>) {
        match end {
            End::Exited(exit) => {
                self.gone(announced.as_ref());
                self.launch.clear(self.id, CLEAR_PATIENCE).await;
                self.exited(exit, None).await;
            }
            End::Failed(reason) => {
                self.gone(announced.as_ref());
                self.output.note(format!("{reason}; it is ended"));
                self.report(Event::Failing).await;
                let exit = self.stop(self.spec.stop.grace.min(FAILED_GRACE_MAX), None).await;
                self.exited(exit, Some(reason)).await;
            }
            End::Stop => {
                self.drain(announced.as_ref()).await;
                let exit = self.stop(self.spec.stop.grace, announced.as_ref()).await;
                self.exited(exit, None).await;
            }
        }
    }

    async fn drain(&self, announced: Option<&Member>) {
        let Some(member) = announced else { return };
        self.announce.draining(member);
        let deadline = Instant::now() + self.spec.stop.drain;
        tokio::select! {
            _ = self.launch.wait(self.id) => {}
            _ = timeout_at(deadline, self.announce.drained(member, deadline)) => {}
        }
    }

    /// Asks, waits, kills, clears.
    async fn stop(&self, grace: Duration, announced: Option<&Member>) -> Exit {
        let deadline = Instant::now() + grace;
        self.launch.signal(self.id, self.spec.stop.signal).await;
        let mut ended = timeout_at(deadline, self.launch.wait(self.id)).await;
        if ended.is_err() {
            self.output.note(format!(
                "did not end within {} after {}; killed",
                quantity::show_duration(grace),
                self.spec.stop.signal
            ));
            self.launch.signal(self.id, Signal::Kill).await;
            ended = timeout(KILL_TIMEOUT, self.launch.wait(self.id)).await;
        }
        self.gone(announced);
        // The leader may go first (a shell does); what it started gets the rest of the time.
        self.launch.clear(self.id, deadline.saturating_duration_since(Instant::now())).await;
        ended.unwrap_or_else(|_| Exit::Unknown("it did not end when it was killed".to_owned()))
    }

    fn gone(&self, announced: Option<&Member>) {
        if let Some(member) = announced {
            self.announce.gone(member);
        }
    }

    async fn exited(&self, exit: Exit, why: Option<String>) {
        let lines = self.output.last_lines();
        self.report(Event::Exited { exit, why, lines }).await;
    }

    async fn report(&self, event: Event) {
        let report = Report { service: self.spec.name.clone(), instance: self.id, event };
        // Without the loop nobody needs to know; the instance still has to be stopped in good order.
        let _ = self.reports.send(report).await;
    }
}
