//! Builds what changed: a build whose inputs have the same content as at its last success is skipped.
//!
//! Services that share one build (the same command in the same directory, as in one cargo workspace) share its run too. A bounded number
//! of builds runs at a time, because compilers use all cores by themselves.

mod inputs;

use crate::{
    logs::Output,
    port::{Exit, Launch, Order},
    spec::{Build, ServiceSpec, Signal},
    state::StageFailure,
};
use motet_kernel::{id::InstanceId, quantity};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// How long a build that is broken off gets before it is killed.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// How a build succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    Built,
    /// Nothing had changed since the last one.
    Skipped,
}

type Outcome = Result<Success, StageFailure>;

/// Runs builds.
pub(crate) struct Builder {
    launch: Arc<dyn Launch>,
    dir: PathBuf,
    permits: Semaphore,
    running: Mutex<HashMap<String, watch::Receiver<Option<Outcome>>>>,
}

impl Builder {
    pub(crate) fn new(launch: Arc<dyn Launch>, state_dir: &Path, builds_max: usize) -> Self {
        let (dir, permits) = (state_dir.join("builds"), Semaphore::new(builds_max.max(1)));
        Self { launch, dir, permits, running: Mutex::default() }
    }

    /// Builds, or waits for the same build that is already running.
    pub(crate) async fn build(
        &self,
        spec: &ServiceSpec,
        build: &Build,
        output: &Output,
        abort: CancellationToken,
    ) -> Outcome {
        let key = key(spec, build);
        loop {
            let (sender, receiver) = watch::channel(None);
            let shared = {
                let mut running = self.running.lock();
                // One whose sender is gone without an outcome was broken off.
                let shared = running.get(&key).filter(|shared| shared.has_changed().is_ok()).cloned();
                if shared.is_none() {
                    running.insert(key.clone(), receiver);
                }
                shared
            };
            let Some(mut shared) = shared else {
                let outcome = self.build_alone(spec, build, &key, output, &abort).await;
                self.running.lock().remove(&key);
                if !abort.is_cancelled() {
                    sender.send_replace(Some(outcome.clone()));
                }
                return outcome;
            };
            output.note("waits for the same build of another service");
            tokio::select! {
                outcome = shared.wait_for(Option::is_some) => {
                    if let Some(outcome) = outcome.ok().and_then(|outcome| outcome.clone()) {
                        return outcome;
                    }
                    // The other one was broken off: this one builds itself.
                }
                () = abort.cancelled() => return Err(aborted()),
            }
        }
    }

    /// Forgets the last success of a build: what it made is gone (`cargo clean`).
    pub(crate) fn forget(&self, spec: &ServiceSpec) {
        if let Some(build) = &spec.build {
            // Without a record it is built anyway.
            let _ = fs::remove_file(self.dir.join(key(spec, build)));
        }
    }

    async fn build_alone(
        &self,
        spec: &ServiceSpec,
        build: &Build,
        key: &str,
        output: &Output,
        abort: &CancellationToken,
    ) -> Outcome {
        let _permit = tokio::select! {
            permit = self.permits.acquire() => permit,
            () = abort.cancelled() => return Err(aborted()),
        };
        let record = self.dir.join(key);
        let hash = self
            .hash(spec, build)
            .await
            .map_err(|error| failed(format!("its inputs cannot be read: {error}"), output))?;
        if fs::read_to_string(&record).is_ok_and(|last| last == hash) && has_outputs(spec, build) {
            output.note("build skipped: nothing changed since the last one");
            return Ok(Success::Skipped);
        }
        let started = tokio::time::Instant::now();
        let exit = self.run(spec, build, output, abort).await?;
        if !exit.is_success() {
            return Err(failed(format!("the build {exit}"), output));
        }
        output.note(format!("built in {}", quantity::show_duration(started.elapsed())));
        // The hash from before the build: what changed meanwhile is built next time. Without the record it is only built again.
        let _ = fs::create_dir_all(&self.dir).and_then(|()| fs::write(&record, hash));
        Ok(Success::Built)
    }

    async fn hash(&self, spec: &ServiceSpec, build: &Build) -> io::Result<String> {
        let (dir, build) = (spec.dir.clone(), build.clone());
        tokio::task::spawn_blocking(move || inputs::hash(&dir, &build)).await.map_err(io::Error::other)?
    }

    async fn run(
        &self,
        spec: &ServiceSpec,
        build: &Build,
        output: &Output,
        abort: &CancellationToken,
    ) -> Result<Exit, StageFailure> {
        let order = Order {
            instance: InstanceId::new(),
            service: spec.name.clone(),
            dir: spec.dir.clone(),
            command: build.command.clone(),
            port: None,
            is_build: true,
            env: Vec::new(),
            output: output.clone(),
        };
        run_to_end(&*self.launch, order, build.timeout, abort, "the build").await
    }
}

/// Runs a command to its end, within a time.
pub(crate) async fn run_to_end(
    launch: &dyn Launch,
    order: Order,
    limit: Duration,
    abort: &CancellationToken,
    what: &str,
) -> Result<Exit, StageFailure> {
    let (instance, output) = (order.instance, order.output.clone());
    launch.start(order).await.map_err(|error| failed(format!("{what} could not be started: {error}"), &output))?;
    let exit = tokio::select! {
        exit = launch.wait(instance) => Ok(exit),
        () = abort.cancelled() => Err("broken off".to_owned()),
        () = tokio::time::sleep(limit) => Err(format!("did not end within {}", quantity::show_duration(limit))),
    };
    match exit {
        Ok(exit) => {
            launch.clear(instance, Duration::from_millis(250)).await;
            Ok(exit)
        }
        Err(reason) => {
            launch.signal(instance, Signal::Term).await;
            launch.clear(instance, ABORT_GRACE).await;
            Err(failed(format!("{what} {reason}"), &output))
        }
    }
}

pub(crate) fn failed(reason: String, output: &Output) -> StageFailure {
    StageFailure { reason, lines: output.last_lines(), retry_at: None }
}

fn aborted() -> StageFailure {
    StageFailure { reason: "the build was broken off".to_owned(), lines: Vec::new(), retry_at: None }
}

fn has_outputs(spec: &ServiceSpec, build: &Build) -> bool {
    build.outputs.iter().all(|output| spec.dir.join(output).exists())
}

/// Names a build: the same for all services that share it.
fn key(spec: &ServiceSpec, build: &Build) -> String {
    let text = format!("{:?}\0{:?}\0{:?}\0{:?}", spec.dir, build.command, build.inputs, build.outputs);
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}
