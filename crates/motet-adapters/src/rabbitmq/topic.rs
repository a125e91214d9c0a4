//! What is known of one topic while the process runs.

use super::{error::Trouble, link::Link, topology::Names, waiting::Waiting};
use lapin::Channel;
use motet_broker::{TopicName, TopicSpec};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

/// A topic, shared by its publishers and its reader.
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) names: Names,
    spec: RwLock<Arc<TopicSpec>>,
    pub(super) waiting: Waiting,
    /// The connection for publishing.
    pub(super) link: Arc<Link>,
    pub(super) publisher: tokio::sync::Mutex<Option<Channel>>,
    /// Why its queue is not read now, if so.
    reader: Mutex<Option<Trouble>>,
}

impl Topic {
    pub(super) fn new(spec: &TopicSpec, names: Names, link: Arc<Link>) -> Self {
        Self {
            name: spec.name.clone(),
            names,
            spec: RwLock::new(Arc::new(spec.clone())),
            waiting: Waiting::default(),
            link,
            publisher: tokio::sync::Mutex::new(None),
            reader: Mutex::new(None),
        }
    }

    pub(super) fn spec(&self) -> Arc<TopicSpec> {
        self.spec.read().clone()
    }

    pub(super) fn change(&self, spec: &TopicSpec) {
        *self.spec.write() = Arc::new(spec.clone());
    }

    pub(super) fn reader_trouble(&self) -> Option<Trouble> {
        self.reader.lock().clone()
    }

    /// Whether that is news.
    pub(super) fn note_reader(&self, trouble: Option<Trouble>) -> bool {
        let mut reader = self.reader.lock();
        let is_new = *reader != trouble;
        *reader = trouble;
        is_new
    }
}
