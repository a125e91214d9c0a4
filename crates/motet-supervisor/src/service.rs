//! The loop: it alone changes the state. Whatever wakes it (an order, a report, a timer), it does the same: decide, begin, publish.

mod handle;

pub use handle::{Handle, RebuildError};

use crate::{
    allotment::Allotment,
    building::{Builder, Success, failed, run_to_end},
    config::Config,
    error::{ApplyError, OrderError, UnknownService},
    instance::{Event, Report, Run},
    logs::{Logs, Output},
    machine::{self, Action},
    port::{Announce, Exit, Launch, Order, Sample},
    spec::{PORT_PLACEHOLDER, Port, ServiceSpec, check},
    state::{LastExit, Stage, StageFailure, State},
    status::{self, Shared},
};
use handle::Request;
use motet_kernel::{
    clock,
    id::InstanceId,
    name::ServiceName,
    quantity,
    task::{Kind, TaskGroup},
};
use std::{
    collections::{HashMap, HashSet},
    future,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Reports and requests that wait for the loop.
const QUEUE: usize = 256;
/// Nobody waits longer for a preparation.
const PREPARE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// A state in which every decision leads to another one would be a mistake in the machine; the loop must not hang in it.
const ROUNDS_MAX: usize = 16;

/// The end of a build or a preparation.
struct StageEnd {
    service: ServiceName,
    is_build: bool,
    result: Result<Success, StageFailure>,
}

/// Runs services. See [`Supervisor::start`].
pub struct Supervisor {
    config: Config,
    launch: Arc<dyn Launch>,
    announce: Arc<dyn Announce>,
    group: TaskGroup,
    logs: Logs,
    builder: Arc<Builder>,
    ports: Allotment,
    state: State,
    usage: HashMap<InstanceId, Sample>,
    status: watch::Sender<Shared>,
    stops: HashMap<InstanceId, watch::Sender<Option<&'static str>>>,
    aborts: HashMap<ServiceName, CancellationToken>,
    /// Services whose last build was skipped, so that what it once made may be missing.
    skipped: HashSet<ServiceName>,
    reports: mpsc::Sender<Report>,
    stages: mpsc::Sender<StageEnd>,
    waiting_for_end: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Starts the loop in a group of tasks. When the group is cancelled, everything is stopped in good order, and the group's
    /// `wait` returns after that.
    pub fn start(config: Config, launch: Arc<dyn Launch>, announce: Arc<dyn Announce>, group: &TaskGroup) -> Handle {
        let logs = Logs::open(config.logs_dir.clone());
        let (request_sender, requests) = mpsc::channel(QUEUE);
        let (reports, report_receiver) = mpsc::channel(QUEUE);
        let (stages, stage_receiver) = mpsc::channel(QUEUE);
        let (status, picture) = watch::channel(Shared::default());
        let supervisor = Self {
            builder: Arc::new(Builder::new(Arc::clone(&launch), &config.state_dir, config.builds_max)),
            ports: Allotment::new(config.ports.clone()),
            launch,
            announce,
            group: group.clone(),
            logs: logs.clone(),
            state: State::default(),
            usage: HashMap::new(),
            status,
            stops: HashMap::new(),
            aborts: HashMap::new(),
            skipped: HashSet::new(),
            reports,
            stages,
            waiting_for_end: Vec::new(),
            config,
        };
        group.spawn(Kind::ContextLoop, "supervisor", supervisor.run(requests, report_receiver, stage_receiver));
        Handle::new(request_sender, picture, logs)
    }

    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut reports: mpsc::Receiver<Report>,
        mut stages: mpsc::Receiver<StageEnd>,
    ) {
        let (sample_sender, mut samples) = mpsc::channel(1);
        let mut sampling = interval(self.config.sample_interval);
        sampling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let group = self.group.clone();
        loop {
            let wake = machine::next_wake(&self.state, Instant::now());
            let is_ending = group.is_cancelled();
            tokio::select! {
                biased;
                Some(report) = reports.recv() => self.take_report(report),
                Some(end) = stages.recv() => self.take_stage(end),
                Some(request) = requests.recv() => self.take_request(request),
                () = group.cancelled(), if !is_ending => {}
                Some(usage) = samples.recv() => self.usage = usage,
                _ = sampling.tick(), if !self.stops.is_empty() => self.sample(&sample_sender),
                () = sleep_until_some(wake) => {}
            }
            self.state.stopping |= group.is_cancelled();
            self.reconcile();
            self.publish();
            if self.state.stopping && !self.is_active() {
                self.answer_stop();
                if group.is_cancelled() {
                    break;
                }
            }
        }
    }

    fn is_active(&self) -> bool {
        self.state.services.values().any(|service| service.is_active())
    }

    /// Decides until nothing is left to begin.
    fn reconcile(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let actions = machine::decide(&self.state, Instant::now());
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.begin(action));
        }
        tracing::error!("decisions do not come to rest; going on with the next event");
    }

    fn begin(&mut self, action: Action) {
        match action {
            Action::Build(service) => self.begin_build(&service),
            Action::Prepare(service) => self.begin_prepare(&service),
            Action::Abort(service) => self.abort(&service),
            Action::Start { service, slot } => self.begin_instance(&service, slot),
            Action::Stop { service, instance, why } => {
                self.state.stopping(&service, instance);
                if let Some(stop) = self.stops.get(&instance) {
                    stop.send_replace(Some(why));
                }
            }
            Action::Forget(service) => {
                self.aborts.remove(&service);
                self.state.forget(&service);
            }
        }
    }

    fn abort(&mut self, name: &ServiceName) {
        let Some(service) = self.state.services.get_mut(name) else { return };
        for stage in [&mut service.build, &mut service.prepare] {
            if stage.is_running() {
                *stage = Stage::Running { aborted: true };
            }
        }
        if let Some(abort) = self.aborts.get(name) {
            abort.cancel();
        }
    }

    /// The token that breaks off the stages of a service.
    fn abort_token(&mut self, name: &ServiceName) -> CancellationToken {
        let token = self.aborts.entry(name.clone()).or_default();
        if token.is_cancelled() {
            *token = CancellationToken::new();
        }
        token.clone()
    }

    fn begin_build(&mut self, name: &ServiceName) {
        let abort = self.abort_token(name);
        let Some(service) = self.state.services.get_mut(name) else { return };
        let Some(build) = service.spec.build.clone() else {
            service.build = Stage::Done;
            return;
        };
        service.build = Stage::Running { aborted: false };
        let (spec, builder, stages) = (Arc::clone(&service.spec), Arc::clone(&self.builder), self.stages.clone());
        let output = self.logs.output(name.clone(), &format!("{name}-build"), spec.logs);
        self.group.spawn(Kind::Job, "build", async move {
            let result = builder.build(&spec, &build, &output, abort).await;
            if let Err(failure) = &result {
                output.note(failure.reason.clone());
            }
            // Without the loop nobody needs to know.
            let _ = stages.send(StageEnd { service: spec.name.clone(), is_build: true, result }).await;
        });
    }

    fn begin_prepare(&mut self, name: &ServiceName) {
        let abort = self.abort_token(name);
        let Some(service) = self.state.services.get_mut(name) else { return };
        let Some(command) = service.spec.prepare.clone() else {
            service.prepare = Stage::Done;
            return;
        };
        service.prepare = Stage::Running { aborted: false };
        let (spec, launch, stages) = (Arc::clone(&service.spec), Arc::clone(&self.launch), self.stages.clone());
        let output = self.logs.output(name.clone(), &format!("{name}-prepare"), spec.logs);
        let order = prepare_order(&spec, command, &output);
        self.group.spawn(Kind::Job, "prepare", async move {
            let exit = run_to_end(&*launch, order, PREPARE_LIMIT, &abort, "the preparation").await;
            let result = exit.and_then(|exit| match exit.is_success() {
                true => Ok(Success::Built),
                false => Err(failed(format!("the preparation {exit}"), &output)),
            });
            if let Err(failure) = &result {
                output.note(failure.reason.clone());
            }
            let _ = stages.send(StageEnd { service: spec.name.clone(), is_build: false, result }).await;
        });
    }

    fn begin_instance(&mut self, name: &ServiceName, slot: u32) {
        let Some(service) = self.state.services.get(name) else { return };
        let (spec, id) = (Arc::clone(&service.spec), InstanceId::new());
        let port = match spec.port {
            Port::None => None,
            Port::Fixed(port) => Some(port),
            // Without a free port the service fails to bind and says so; the restart looks again.
            Port::Free => self.ports.take(),
        };
        self.state.ordered(name, slot, id, port, clock::now());
        let label = status::label(name, slot);
        let run = Run {
            id,
            output: self.logs.output(name.clone(), &label, spec.logs),
            label: label.into(),
            spec,
            port,
            launch: Arc::clone(&self.launch),
            announce: Arc::clone(&self.announce),
            reports: self.reports.clone(),
        };
        let (stop, stopped) = watch::channel(None);
        self.stops.insert(id, stop);
        self.group.spawn(Kind::Instance, "instance", run.run(stopped));
    }

    fn take_report(&mut self, report: Report) {
        let Report { service, instance, event } = report;
        let (now, random) = (Instant::now(), fastrand::f64());
        match event {
            Event::Started { pid } => self.state.started(&service, instance, pid),
            Event::Ready => self.state.ready(&service, instance, now),
            Event::Failing => self.state.failing(&service, instance, now, random),
            Event::Exited { exit, why, lines } => {
                self.stops.remove(&instance);
                self.usage.remove(&instance);
                self.give_port_back(&service, instance);
                let last = LastExit { exit, why, lines, at: clock::now() };
                let is_missing = matches!(last.exit, Exit::NotStarted(_) | Exit::Code(127));
                let text = if last.why.is_some() { None } else { Some(last.exit.to_string()) };
                let slot = self.slot_of(&service, instance);
                self.state.exited(&service, instance, last, now, random);
                if let Some((slot, is_unasked)) = slot {
                    self.note_exit(&service, slot, text.filter(|_| is_unasked), now);
                }
                if is_missing && self.skipped.remove(&service) {
                    self.build_again(&service);
                }
            }
        }
    }

    fn give_port_back(&mut self, name: &ServiceName, id: InstanceId) {
        let service = self.state.services.get(name);
        let port = service.and_then(|service| service.instances().find(|instance| instance.id == id)?.port);
        if let Some(port) = port {
            self.ports.give_back(port);
        }
    }

    /// The slot of an instance, and whether it has not been told to stop.
    fn slot_of(&self, name: &ServiceName, id: InstanceId) -> Option<(u32, bool)> {
        self.state.services.get(name)?.slots.iter().find_map(|(number, slot)| {
            let instance = slot.instances.iter().find(|instance| instance.id == id)?;
            Some((*number, instance.is_live()))
        })
    }

    /// Says in the service's own log what happened, where whoever looks for the cause will look first.
    fn note_exit(&self, name: &ServiceName, number: u32, exit: Option<String>, now: Instant) {
        let Some(service) = self.state.services.get(name) else { return };
        let retry_at = service.slots.get(&number).and_then(|slot| slot.retry_at).filter(|_| !self.state.stopping);
        let wait = retry_at.map(|at| quantity::show_duration(at.saturating_duration_since(now)));
        let text = match (exit, wait) {
            (Some(exit), Some(wait)) => format!("{exit}; starts again in {wait}"),
            (Some(exit), None) => exit,
            (None, Some(wait)) => format!("ended; starts again in {wait}"),
            (None, None) => "stopped".to_owned(),
        };
        self.output(&service.spec, &status::label(name, number)).note(text);
    }

    /// A program is missing and its build was skipped: what the build once made is gone.
    fn build_again(&mut self, name: &ServiceName) {
        if let Some(service) = self.state.services.get(name) {
            self.builder.forget(&service.spec);
            self.state.rebuild(name);
        }
    }

    fn output(&self, spec: &ServiceSpec, label: &str) -> Output {
        self.logs.output(spec.name.clone(), label, spec.logs)
    }

    fn take_stage(&mut self, end: StageEnd) {
        let result = end.result.map(|success| {
            if end.is_build && success == Success::Skipped {
                self.skipped.insert(end.service.clone());
            }
        });
        if end.is_build {
            self.state.built(&end.service, result);
        } else {
            self.state.prepared(&end.service, result, Instant::now(), fastrand::f64());
        }
    }

    fn take_request(&mut self, request: Request) {
        match request {
            // Whoever asked may have stopped waiting for the answer.
            Request::Apply(specs, reply) => drop(reply.send(self.apply(specs))),
            Request::Scale(name, wanted, reply) => drop(reply.send(self.scale(&name, wanted))),
            Request::Restart(name, reply) => drop(reply.send(self.order(&name, State::restart))),
            Request::Rebuild(name, reply) => drop(reply.send(self.order(&name, State::rebuild))),
            Request::StopAll(reply) => {
                self.state.stopping = true;
                self.waiting_for_end.push(reply);
            }
        }
        self.state.tidy();
    }

    fn apply(&mut self, specs: Vec<ServiceSpec>) -> Result<(), ApplyError> {
        check::check(&specs)?;
        self.state.apply(specs);
        // Whoever waits for the end of everything would wait for ever.
        self.answer_stop();
        Ok(())
    }

    fn answer_stop(&mut self) {
        for waiting in self.waiting_for_end.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(());
        }
    }

    fn scale(&mut self, name: &ServiceName, wanted: u32) -> Result<u64, OrderError> {
        let service = self.known(name)?;
        check::instances(&service.spec, wanted)?;
        self.order(name, |state, name| state.scale(name, wanted))
    }

    fn known(&self, name: &ServiceName) -> Result<&crate::state::Service, UnknownService> {
        let known = self.state.services.get(name).filter(|service| !service.removed);
        known.ok_or_else(|| UnknownService { service: name.clone(), named_by: None })
    }

    fn order(&mut self, name: &ServiceName, change: impl FnOnce(&mut State, &ServiceName)) -> Result<u64, OrderError> {
        self.known(name)?;
        change(&mut self.state, name);
        Ok(self.known(name)?.generation)
    }

    fn sample(&self, to: &mpsc::Sender<HashMap<InstanceId, Sample>>) {
        // One sample at a time: while one is under way or not yet taken in, this round is left out.
        if let Ok(permit) = to.clone().try_reserve_owned() {
            let launch = Arc::clone(&self.launch);
            self.group.spawn(Kind::Periodic, "sample", async move { permit.send(launch.sample().await) });
        }
    }

    fn publish(&self) {
        let before = Arc::clone(&self.status.borrow());
        let next = status::picture(&self.state, &self.usage, &before, (Instant::now(), clock::now()));
        if next != *before {
            self.status.send_replace(Arc::new(next));
        }
    }
}

fn prepare_order(spec: &ServiceSpec, command: crate::spec::Command, output: &Output) -> Order {
    let env = spec.env.iter().filter(|(_, value)| !value.contains(PORT_PLACEHOLDER));
    Order {
        instance: InstanceId::new(),
        service: spec.name.clone(),
        dir: spec.dir.clone(),
        command,
        port: None,
        is_build: false,
        env: env.map(|(name, value)| (name.clone(), value.clone())).collect(),
        output: output.clone(),
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}
