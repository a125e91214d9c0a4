//! The service: opens its store, builds what searches from it, serves.

use chassis::{environment, serve};
use index::embedding::Embedder;
use index::retrieval::Retrieval;
use index::store::Store;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Threads for disk and search; what goes beyond waits in the runtime's queue, which the gates bound.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    serve::start_log();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(start()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("index cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<(), Box<dyn Error>> {
    let path = environment::required("DATABASE_PATH", "the path of this service's SQLite file")?;
    let embedder = Embedder::new(&environment::required("EMBEDDER_URL", "the embedder's address")?)?;

    let began = Instant::now();
    let retrieval = Retrieval::start(Store::open(Path::new(&path))?, embedder)?;
    let (documents, passages, _) = retrieval.size().await?;
    tracing::info!("{documents} documents, {passages} passages ready to search in {} ms", began.elapsed().as_millis());
    serve::run("index", index::api::routes(retrieval)).await?;
    Ok(())
}
