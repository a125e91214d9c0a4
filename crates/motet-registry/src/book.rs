//! Who is listed, as a pure value: every method takes the time as an argument and says which services changed.
//!
//! The registry around it only locks, publishes and sleeps, so that expiry and replacement are decided here without a clock.

use crate::{
    instance::{Health, Instance},
    lease::{Lease, Term},
};
use motet_kernel::{endpoint::Endpoint, id::InstanceId, name::ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// All announcements that hold.
#[derive(Debug, Default)]
pub(crate) struct Book {
    listed: BTreeMap<ServiceName, BTreeMap<InstanceId, Entry>>,
    /// When which announcement expires; only those with a term. The first is the next.
    expiries: BTreeSet<(Instant, InstanceId, ServiceName)>,
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    instance: Instance,
    number: u64,
    term: Term,
    expires: Option<Instant>,
}

/// Nothing stands behind the lease.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Book {
    /// Lists an instance in place of what was said of it before.
    pub(crate) fn announce(&mut self, instance: Instance, term: Term, now: Instant) -> Lease {
        self.last_number += 1;
        let (service, id, number) = (instance.service.clone(), instance.id, self.last_number);
        self.remove(&service, id);
        let expires = expiry(term, now);
        if let Some(at) = expires {
            self.expiries.insert((at, id, service.clone()));
        }
        self.listed.entry(service.clone()).or_default().insert(id, Entry { instance, number, term, expires });
        Lease { service, instance: id, number, term }
    }

    /// Starts the term anew.
    pub(crate) fn renew(&mut self, lease: &Lease, now: Instant) -> Result<(), Gone> {
        let entry = entry(&mut self.listed, lease)?;
        let renewed = expiry(entry.term, now);
        let before = std::mem::replace(&mut entry.expires, renewed);
        if let (Some(before), Some(renewed)) = (before, renewed) {
            self.expiries.remove(&(before, lease.instance, lease.service.clone()));
            self.expiries.insert((renewed, lease.instance, lease.service.clone()));
        }
        Ok(())
    }

    /// Takes down how the instance is; true when that changes what others see.
    pub(crate) fn report(&mut self, lease: &Lease, health: Health, now: Instant) -> Result<bool, Gone> {
        self.renew(lease, now)?;
        let entry = entry(&mut self.listed, lease)?;
        Ok(std::mem::replace(&mut entry.instance.health, health) != health)
    }

    /// Takes the instance off the list; true when it was on it.
    pub(crate) fn withdraw(&mut self, lease: &Lease) -> bool {
        entry(&mut self.listed, lease).is_ok() && self.remove(&lease.service, lease.instance)
    }

    /// Takes off every announcement whose term has passed and says which services that changed.
    pub(crate) fn expire(&mut self, now: Instant) -> BTreeSet<ServiceName> {
        let mut changed = BTreeSet::new();
        while let Some((at, id, service)) = self.expiries.first().cloned() {
            if at > now {
                break;
            }
            self.remove(&service, id);
            changed.insert(service);
        }
        changed
    }

    /// When the next term passes.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, ..)| *at)
    }

    /// What watchers of the service see, in the order of ids.
    pub(crate) fn endpoints(&self, service: &ServiceName) -> Vec<Endpoint> {
        self.instances(service).filter_map(Instance::endpoint).collect()
    }

    /// All that is known of the service's instances, in the order of ids.
    pub(crate) fn instances(&self, service: &ServiceName) -> impl Iterator<Item = &Instance> {
        self.listed.get(service).into_iter().flat_map(BTreeMap::values).map(|entry| &entry.instance)
    }

    /// Services with at least one instance.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.listed.keys()
    }

    fn remove(&mut self, service: &ServiceName, id: InstanceId) -> bool {
        let Some(instances) = self.listed.get_mut(service) else { return false };
        let Some(entry) = instances.remove(&id) else { return false };
        if instances.is_empty() {
            self.listed.remove(service);
        }
        if let Some(at) = entry.expires {
            self.expiries.remove(&(at, id, service.clone()));
        }
        true
    }
}

/// A term too long for the clock never passes.
fn expiry(term: Term, now: Instant) -> Option<Instant> {
    match term {
        Term::Owned => None,
        Term::Renewed(term) => now.checked_add(term),
    }
}

fn entry<'a>(
    listed: &'a mut BTreeMap<ServiceName, BTreeMap<InstanceId, Entry>>,
    lease: &Lease,
) -> Result<&'a mut Entry, Gone> {
    let entry = listed.get_mut(&lease.service).and_then(|instances| instances.get_mut(&lease.instance)).ok_or(Gone)?;
    if entry.number == lease.number { Ok(entry) } else { Err(Gone) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_kernel::endpoint::Authority;
    use proptest::prelude::*;
    use std::time::Duration;

    fn instance(service: &str) -> Instance {
        let address = Authority { host: "127.0.0.1".into(), port: 7000 };
        Instance::ready(service.parse().unwrap(), format!("{service}-1"), address).unwrap()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Announce { of: usize, term_s: Option<u64> },
        Renew(usize),
        Withdraw(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_usize, prop::option::of(1..20_u64)).prop_map(|(of, term_s)| Step::Announce { of, term_s }),
            (0..12_usize).prop_map(Step::Renew),
            (0..12_usize).prop_map(Step::Withdraw),
            (0..15_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against the plainest model: a list of announcements with their ends.
        #[test]
        fn exactly_the_announcements_that_hold_are_listed(steps in prop::collection::vec(step(), 0..60)) {
            let mut book = Book::default();
            let mut now = Instant::now();
            let candidates = [instance("a"), instance("a"), instance("b")];
            let mut leases: Vec<Lease> = Vec::new();
            let mut model: BTreeMap<InstanceId, (u64, Option<Instant>)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Announce { of, term_s } => {
                        let term = term_s.map_or(Term::Owned, |s| Term::Renewed(Duration::from_secs(s)));
                        let lease = book.announce(candidates[of].clone(), term, now);
                        model.insert(lease.instance, (lease.number, expiry(term, now)));
                        leases.push(lease);
                    }
                    Step::Renew(n) => if let Some(lease) = leases.get(n) {
                        let holds = model.get(&lease.instance).is_some_and(|(number, _)| *number == lease.number);
                        prop_assert_eq!(book.renew(lease, now).is_ok(), holds);
                        if holds {
                            model.insert(lease.instance, (lease.number, expiry(lease.term, now)));
                        }
                    },
                    Step::Withdraw(n) => if let Some(lease) = leases.get(n) {
                        let holds = model.get(&lease.instance).is_some_and(|(number, _)| *number == lease.number);
                        prop_assert_eq!(book.withdraw(lease), holds);
                        if holds {
                            model.remove(&lease.instance);
                        }
                    },
                    Step::Wait(s) => {
                        now += Duration::from_secs(s);
                        book.expire(now);
                        model.retain(|_, (_, end)| end.is_none_or(|end| end > now));
                    }
                }
                let listed: BTreeSet<InstanceId> = book.services().cloned().collect::<Vec<_>>().iter()
                    .flat_map(|service| book.instances(service)).map(|instance| instance.id).collect();
                prop_assert_eq!(listed, model.keys().copied().collect::<BTreeSet<_>>());
                prop_assert_eq!(book.next_expiry(), model.values().filter_map(|(_, end)| *end).min());
            }
        }
    }
}
