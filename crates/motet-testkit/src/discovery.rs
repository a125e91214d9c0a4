//! The conformance suite of the `Discovery` port.
//!
//! The same cases run over the embedded registry and over adapters to real servers, so nothing here assumes that a change is
//! visible at once: each case waits for a set that has the wanted shape, up to the limits that the engine's test states. Each
//! case uses service names of its own, so that one server can run all of them, also when an earlier run left things behind.

use motet_kernel::{
    endpoint::{Authority, Endpoint, EndpointSet, State},
    id::InstanceId,
    name::ServiceName,
};
use motet_registry::{Discovery, Health, Instance, Lease, LeaseError, Term};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// What the engine under test can do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A change is in every watch after so long at the latest.
    pub visible: Duration,
    /// The shortest term that the engine keeps.
    pub lease: Duration,
    /// An announcement with that term is out of every watch so long after its last renewal at the latest.
    pub expired: Duration,
}

/// One rule of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The rule, as a sentence.
    pub name: &'static str,
    run: fn(Bench) -> Running,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All rules. An adapter that cannot keep one says so in its test, by name.
pub const CASES: &[Case] = &[
    Case {
        name: "a_service_that_nobody_announced_is_an_empty_set",
        run: |bench| Box::pin(a_service_that_nobody_announced_is_an_empty_set(bench)),
    },
    Case {
        name: "an_announced_instance_is_seen_by_watches_from_before_and_after",
        run: |bench| Box::pin(an_announced_instance_is_seen_by_watches_from_before_and_after(bench)),
    },
    Case {
        name: "a_withdrawn_instance_is_gone_and_its_siblings_stay",
        run: |bench| Box::pin(a_withdrawn_instance_is_gone_and_its_siblings_stay(bench)),
    },
    Case { name: "withdrawing_twice_is_no_failure", run: |bench| Box::pin(withdrawing_twice_is_no_failure(bench)) },
    Case {
        name: "health_decides_whether_an_instance_is_listed_and_how",
        run: |bench| Box::pin(health_decides_whether_an_instance_is_listed_and_how(bench)),
    },
    Case {
        name: "a_lease_that_is_not_renewed_expires",
        run: |bench| Box::pin(a_lease_that_is_not_renewed_expires(bench)),
    },
    Case { name: "a_renewed_lease_holds", run: |bench| Box::pin(a_renewed_lease_holds(bench)) },
    Case {
        name: "announcing_again_replaces_what_was_said_before",
        run: |bench| Box::pin(announcing_again_replaces_what_was_said_before(bench)),
    },
    Case { name: "versions_grow_within_one_watch", run: |bench| Box::pin(versions_grow_within_one_watch(bench)) },
    Case {
        name: "services_with_instances_are_listed",
        run: |bench| Box::pin(services_with_instances_are_listed(bench)),
    },
];

/// Runs one case. Panics with the rule's name and what was seen instead.
pub async fn check(case: &Case, engine: Arc<dyn Discovery>, limits: Limits) {
    (case.run)(Bench { engine, limits, case: case.name }).await;
}

struct Bench {
    engine: Arc<dyn Discovery>,
    limits: Limits,
    case: &'static str,
}

impl Bench {
    /// A name that no other case and no earlier run uses.
    fn service(&self) -> ServiceName {
        let id = InstanceId::new().to_string();
        let unique: String = id.chars().skip(id.len() - 20).collect();
        format!("conformance-{unique}").parse().expect("letters, digits and a hyphen")
    }

    fn instance(&self, service: &ServiceName, n: u16) -> Instance {
        let address = Authority { host: "127.0.0.1".into(), port: 9000 + n };
        Instance::ready(service.clone(), format!("{service}-{n}"), address).expect("a host and a port")
    }

    async fn announce(&self, instance: Instance) -> Lease {
        self.announce_for(instance, Term::Owned).await
    }

    async fn announce_for(&self, instance: Instance, term: Term) -> Lease {
        self.engine.announce(instance, term).await.unwrap_or_else(|error| panic!("{}: announce: {error}", self.case))
    }

    async fn watch(&self, service: &ServiceName) -> watch::Receiver<EndpointSet> {
        self.engine.watch(service).await.unwrap_or_else(|error| panic!("{}: watch: {error}", self.case))
    }

    async fn withdraw(&self, lease: &Lease) {
        self.engine.withdraw(lease).await.unwrap_or_else(|error| panic!("{}: withdraw: {error}", self.case));
    }

    /// Waits until the set has the wanted shape.
    async fn see(&self, set: &mut watch::Receiver<EndpointSet>, what: &str, wanted: impl Fn(&[Endpoint]) -> bool) {
        self.see_within(self.limits.visible, set, what, wanted).await;
    }

    async fn see_within(
        &self,
        limit: Duration,
        set: &mut watch::Receiver<EndpointSet>,
        what: &str,
        wanted: impl Fn(&[Endpoint]) -> bool,
    ) {
        let seen = timeout(limit, set.wait_for(|set| wanted(&set.endpoints))).await.map(|seen| seen.map(drop));
        match seen {
            Ok(Ok(())) => {}
            Ok(Err(_)) => panic!("{}: the watch ended while its receiver lived", self.case),
            Err(_) => panic!("{}: not seen within {limit:?}: {what}; the set is {:?}", self.case, *set.borrow()),
        }
    }
}

async fn a_service_that_nobody_announced_is_an_empty_set(bench: Bench) {
    let set = bench.watch(&bench.service()).await;
    assert!(set.borrow().endpoints.is_empty(), "{}", bench.case);
}

async fn an_announced_instance_is_seen_by_watches_from_before_and_after(bench: Bench) {
    let service = bench.service();
    let mut before = bench.watch(&service).await;
    let instance = bench.instance(&service, 1);
    let expected = instance.endpoint().expect("it is ready");
    let lease = bench.announce(instance).await;
    let mut after = bench.watch(&service).await;
    bench.see(&mut before, "the instance, by the earlier watch", |set| set == [expected.clone()]).await;
    bench.see(&mut after, "the instance, by the later watch", |set| set == [expected.clone()]).await;
    bench.withdraw(&lease).await;
}

async fn a_withdrawn_instance_is_gone_and_its_siblings_stay(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let first = bench.announce(bench.instance(&service, 1)).await;
    let second = bench.announce(bench.instance(&service, 2)).await;
    bench.see(&mut set, "both", |set| set.len() == 2).await;
    bench.withdraw(&first).await;
    bench.see(&mut set, "only the second", |set| set.len() == 1 && set[0].instance == second.instance).await;
    bench.withdraw(&second).await;
    bench.see(&mut set, "nobody", <[Endpoint]>::is_empty).await;
}

async fn withdrawing_twice_is_no_failure(bench: Bench) {
    let service = bench.service();
    let lease = bench.announce(bench.instance(&service, 1)).await;
    bench.withdraw(&lease).await;
    bench.withdraw(&lease).await;
    let renewed = bench.engine.renew(&lease).await;
    assert!(matches!(renewed, Err(LeaseError::Unknown(_))), "{}: renew said {renewed:?}", bench.case);
}

async fn health_decides_whether_an_instance_is_listed_and_how(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let lease = bench.announce(bench.instance(&service, 1)).await;
    let steps: [(Health, &[State]); 4] = [
        (Health::Draining, &[State::Draining]),
        (Health::Unready, &[]),
        (Health::Ready, &[State::Ready]),
        (Health::Ready, &[State::Ready]),
    ];
    for (health, states) in steps {
        let reported = bench.engine.report(&lease, health).await;
        assert!(reported.is_ok(), "{}: report {health:?}: {reported:?}", bench.case);
        let what = format!("{states:?} after {health:?}");
        bench.see(&mut set, &what, |set| set.iter().map(|e| e.state).eq(states.iter().copied())).await;
    }
    bench.withdraw(&lease).await;
}

async fn a_lease_that_is_not_renewed_expires(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let lease = bench.announce_for(bench.instance(&service, 1), Term::Renewed(bench.limits.lease)).await;
    bench.see(&mut set, "the instance", |set| set.len() == 1).await;
    bench.see_within(bench.limits.expired, &mut set, "nobody", <[Endpoint]>::is_empty).await;
    let renewed = bench.engine.renew(&lease).await;
    assert!(matches!(renewed, Err(LeaseError::Unknown(_))), "{}: renew said {renewed:?}", bench.case);
}

async fn a_renewed_lease_holds(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let lease = bench.announce_for(bench.instance(&service, 1), Term::Renewed(bench.limits.lease)).await;
    bench.see(&mut set, "the instance", |set| set.len() == 1).await;
    let end = Instant::now() + bench.limits.lease.max(bench.limits.expired) * 2;
    while Instant::now() < end {
        sleep(bench.limits.lease / 3).await;
        let renewed = bench.engine.renew(&lease).await;
        assert!(renewed.is_ok(), "{}: renew: {renewed:?}", bench.case);
        assert_eq!(set.borrow_and_update().endpoints.len(), 1, "{}: it was renewed in time", bench.case);
    }
    bench.withdraw(&lease).await;
}

async fn announcing_again_replaces_what_was_said_before(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let mut instance = bench.instance(&service, 1);
    bench.announce(instance.clone()).await;
    bench.see(&mut set, "the first address", |set| set.len() == 1 && set[0].address.port == 9001).await;
    instance.address.port = 9900;
    let lease = bench.announce(instance).await;
    bench.see(&mut set, "only the second address", |set| set.len() == 1 && set[0].address.port == 9900).await;
    bench.withdraw(&lease).await;
    bench.see(&mut set, "nobody", <[Endpoint]>::is_empty).await;
}

async fn versions_grow_within_one_watch(bench: Bench) {
    let service = bench.service();
    let mut set = bench.watch(&service).await;
    let mut version = set.borrow_and_update().version;
    let mut leases = Vec::new();
    for n in 1..=5 {
        leases.push(bench.announce(bench.instance(&service, n)).await);
        bench.see(&mut set, "one more", |set| set.len() == usize::from(n)).await;
        let newer = set.borrow_and_update().version;
        assert!(newer > version, "{}: {newer} after {version}", bench.case);
        version = newer;
    }
    for lease in &leases {
        bench.withdraw(lease).await;
    }
}

async fn services_with_instances_are_listed(bench: Bench) {
    let service = bench.service();
    let listed = async || bench.engine.services().await.expect("the engine answers").contains(&service);
    assert!(!listed().await, "{}: not announced yet", bench.case);
    let lease = bench.announce(bench.instance(&service, 1)).await;
    for (wanted, what) in [(true, "announced"), (false, "withdrawn")] {
        let end = Instant::now() + bench.limits.visible;
        while listed().await != wanted {
            assert!(Instant::now() < end, "{}: {what}, and the list does not say so", bench.case);
            sleep(bench.limits.visible / 50).await;
        }
        bench.withdraw(&lease).await;
    }
}
