//! The embedded registry keeps the contract that every discovery engine keeps.

use motet_kernel::task::TaskGroup;
use motet_registry::Registry;
use motet_testkit::discovery::{self, Limits};
use std::{sync::Arc, time::Duration};

#[tokio::test(start_paused = true)]
async fn the_embedded_registry_keeps_the_contract_of_the_port() {
    let limits =
        Limits { visible: Duration::from_secs(1), lease: Duration::from_secs(2), expired: Duration::from_secs(3) };
    for case in discovery::CASES {
        let group = TaskGroup::new();
        discovery::check(case, Arc::new(Registry::start(&group)), limits).await;
        group.cancel();
        group.wait().await;
    }
}
