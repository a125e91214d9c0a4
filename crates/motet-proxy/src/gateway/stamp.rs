//! Tells whether files have changed, by looking at them now and then. Notices of the operating system would be quicker and are lost on
//! network file systems and in the mounted folders of containers, which is where certificates and keys come from.

use std::{path::Path, time::SystemTime};

/// When a file was changed last, and how long it is. `None`: there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(Option<SystemTime>, u64)>);

impl Stamp {
    pub(crate) async fn of(file: &Path) -> Self {
        let metadata = tokio::fs::metadata(file).await.ok();
        Self(metadata.map(|metadata| (metadata.modified().ok(), metadata.len())))
    }
}
