//! What the embedded registry promises beyond the port: changes are in every set when the call returns.

use motet_kernel::{endpoint::Authority, name::ServiceName, task::TaskGroup};
use motet_registry::{Health, Instance, Lease, Registry, Term};
use std::time::{Duration, Instant};

fn service() -> ServiceName {
    "embedder".parse().expect("a name")
}

fn announce(registry: &Registry, n: u16, term: Term) -> Lease {
    let address = Authority { host: "127.0.0.1".into(), port: 7000 + n };
    registry.announce(Instance::ready(service(), format!("embedder-{n}"), address).expect("a host and a port"), term)
}

#[tokio::test]
async fn a_withdrawn_instance_is_out_of_every_set_when_the_call_returns() {
    let registry = Registry::start(&TaskGroup::new());
    let watches: Vec<_> = (0..100).map(|_| registry.watch(&service())).collect();
    let leases: Vec<_> = (1..=50).map(|n| announce(&registry, n, Term::Owned)).collect();
    let started = Instant::now();
    assert!(registry.withdraw(&leases[0]));
    let took = started.elapsed();
    assert!(watches.iter().all(|watch| watch.borrow().ready().count() == 49));
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_expires() {
    let registry = Registry::start(&TaskGroup::new());
    let mut set = registry.watch(&service());
    let lease = announce(&registry, 1, Term::Renewed(Duration::from_secs(9)));
    let supervised = announce(&registry, 2, Term::Owned);
    set.mark_unchanged();
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        registry.renew(&lease).unwrap();
    }
    assert!(!set.has_changed().unwrap(), "a renewed lease holds and is no news");
    set.changed().await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 3 * 6 + 9, "exactly one term after the last renewal");
    assert_eq!(set.borrow().endpoints.iter().map(|e| e.instance).collect::<Vec<_>>(), [supervised.instance]);
    assert!(registry.renew(&lease).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_sooner_than_all_others_is_not_slept_over() {
    let registry = Registry::start(&TaskGroup::new());
    announce(&registry, 1, Term::Renewed(Duration::from_secs(60)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    announce(&registry, 2, Term::Renewed(Duration::from_secs(5)));
    let mut set = registry.watch(&service());
    let started = tokio::time::Instant::now();
    set.changed().await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn an_instance_that_is_not_ready_is_known_and_in_nobodys_set() {
    let registry = Registry::start(&TaskGroup::new());
    let lease = announce(&registry, 1, Term::Owned);
    registry.report(&lease, Health::Unready).unwrap();
    assert_eq!(registry.watch(&service()).borrow().endpoints.len(), 0);
    assert_eq!(registry.instances(&service())[0].health, Health::Unready);
}

#[tokio::test]
async fn an_announcement_that_changes_nothing_wakes_nobody() {
    let registry = Registry::start(&TaskGroup::new());
    let address = Authority { host: "127.0.0.1".into(), port: 7001 };
    let instance = Instance::ready(service(), "embedder-1", address).unwrap();
    let older = registry.announce(instance.clone(), Term::Owned);
    let set = registry.watch(&service());
    let newer = registry.announce(instance, Term::Owned);
    assert!(!set.has_changed().unwrap());
    assert!(!registry.withdraw(&older), "the older lease ended with the newer announcement");
    assert!(registry.withdraw(&newer));
}
