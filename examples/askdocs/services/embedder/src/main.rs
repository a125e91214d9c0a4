//! The service: reads its settings, loads the model, serves.

use chassis::{environment, serve};
use embedder::api::Embedder;
use embedder::encoder::Encoder;
use embedder::step::Step;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

/// Cores that one instance takes unless `EMBEDDER_THREADS` says otherwise: the other services want some too.
const THREADS_DEFAULT_MAX: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    serve::start_log();
    if let Err(error) = keep_operations_on_one_thread() {
        tracing::warn!("each operation takes several threads: {error}");
    }
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("embedder cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = environment::number("EMBEDDER_THREADS", cores.min(THREADS_DEFAULT_MAX), 1, 64)?;
    let running = environment::number("EMBEDDER_RUNNING", 2, 1, 64)?;
    let waiting = environment::number("EMBEDDER_WAITING", 64, 0, 4096)?;
    let folder = PathBuf::from(std::env::var("EMBEDDER_MODEL").unwrap_or_else(|_| "model".into()));

    let began = Instant::now();
    let encoder = Encoder::load(&folder, threads)?;
    tracing::info!("model loaded from {} in {} ms, {threads} threads", folder.display(), began.elapsed().as_millis());
    let (encoder, file) =
        (Arc::new(encoder), environment::required("DATABASE_PATH", "the path of this service's SQLite file")?);
    let step = Step::open(Path::new(&file), Arc::clone(&encoder))?;
    serve::run("embedder", Embedder::new(encoder, running, waiting).routes().merge(step.routes())).await?;
    Ok(())
}

/// The encoder runs whole batches beside each other on a bounded pool. By default candle would also split each operation
/// over threads of its own, as many as there are cores: beyond the bound, and slower by a fifth for a network this small.
/// It reads how many it may take from the environment only, so the program replaces itself, once, by itself with that set.
fn keep_operations_on_one_thread() -> std::io::Result<()> {
    let wanted = [("CANDLE_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", "1")];
    if wanted.iter().all(|(name, value)| std::env::var(name).is_ok_and(|found| found == *value)) {
        return Ok(());
    }
    Err(Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).envs(wanted).exec())
}
