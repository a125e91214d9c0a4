//! The conformance suite of the events engines, over the embedded one.

use async_trait::async_trait;
use motet_broker::{Embedded, Transport, engine::Support};
use motet_kernel::task::TaskGroup;
use motet_store::Store;
use motet_testkit::events::{Engine, Server};
use std::sync::Arc;

struct InProcess;

#[async_trait]
impl Engine for InProcess {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn open(&self, store: &Store, _: &TaskGroup) -> Arc<dyn Transport> {
        Arc::new(Embedded::new(store.clone(), "in a test").unwrap())
    }

    fn support(&self) -> &[Support] {
        motet_broker::embedded::SUPPORT
    }

    fn is_remote(&self) -> bool {
        false
    }
}

async fn engine(_: Server) -> Option<Arc<dyn Engine>> {
    Some(Arc::new(InProcess))
}

motet_testkit::event_conformance!(engine);
