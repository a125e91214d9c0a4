//! Decides: compares what is wanted with what is, whatever woke it, and says what to do next.
//!
//! Nothing here waits or does. An action that was begun shows in the state at once, so that deciding again says nothing twice,
//! and an action that got lost is decided again. That is why no event has to be remembered anywhere.

use crate::{
    spec::{Kind, Until},
    state::{Phase, Service, Slot, Stage, State},
};
use motet_kernel::{id::InstanceId, name::ServiceName};
use tokio::time::Instant;

/// Something to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run the service's build.
    Build(ServiceName),
    /// Run the service's preparation.
    Prepare(ServiceName),
    /// Break off its build and preparation.
    Abort(ServiceName),
    /// Start an instance.
    Start {
        /// Of this service.
        service: ServiceName,
        /// In this slot.
        slot: u32,
    },
    /// Drain and stop an instance.
    Stop {
        /// Of this service.
        service: ServiceName,
        /// Which.
        instance: InstanceId,
        /// Why, in words.
        why: &'static str,
    },
    /// Nothing of a removed service is left.
    Forget(ServiceName),
}

/// What to begin now.
pub(crate) fn decide(state: &State, now: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    for service in state.services.values() {
        if is_leaving(state, service) {
            leave(state, service, &mut actions);
        } else {
            keep(state, service, now, &mut actions);
        }
    }
    actions
}

/// When to decide again though nothing happens: the end of the next wait.
pub(crate) fn next_wake(state: &State, now: Instant) -> Option<Instant> {
    let retries = state.services.values().flat_map(|service| {
        let prepare = match &service.prepare {
            Stage::Failed(failure) => failure.retry_at,
            _ => None,
        };
        service.slots.values().filter_map(|slot| slot.retry_at).chain(prepare)
    });
    retries.filter(|at| *at > now).min()
}

/// What of its dependencies a service still waits for.
pub(crate) fn waits_for<'a>(state: &'a State, service: &'a Service) -> Vec<(ServiceName, Until)> {
    if service.released {
        return Vec::new();
    }
    let missing = service.spec.after.iter().filter(|dependency| {
        let other = state.services.get(&dependency.service);
        !other.is_some_and(|other| has_reached(other, dependency.until))
    });
    missing.map(|dependency| (dependency.service.clone(), dependency.until)).collect()
}

fn has_reached(other: &Service, until: Until) -> bool {
    let any = |phases: &[Phase]| other.instances().any(|instance| phases.contains(&instance.phase));
    let reached = match (until, other.spec.kind) {
        (Until::Started, _) => any(&[Phase::Starting, Phase::Ready]),
        (Until::Ready, Kind::Service) => any(&[Phase::Ready]),
        (Until::Ready | Until::Completed, _) => false,
    };
    reached || other.is_completed() || other.wanted == 0
}

fn is_leaving(state: &State, service: &Service) -> bool {
    state.stopping || service.removed
}

fn leave(state: &State, service: &Service, actions: &mut Vec<Action>) {
    let name = &service.spec.name;
    if is_to_abort(&service.build) || is_to_abort(&service.prepare) {
        actions.push(Action::Abort(name.clone()));
    }
    let is_needed = state.services.values().any(|other| {
        is_leaving(state, other)
            && other.instances().next().is_some()
            && other.spec.after.iter().any(|dependency| dependency.service == *name)
    });
    if !is_needed {
        stop_all(service, service.slots.values(), "no longer wanted", actions);
    }
    if service.removed && !service.is_active() {
        actions.push(Action::Forget(name.clone()));
    }
}

fn is_to_abort(stage: &Stage) -> bool {
    *stage == Stage::Running { aborted: false }
}

fn stop_all<'a>(
    service: &Service,
    slots: impl Iterator<Item = &'a Slot>,
    why: &'static str,
    actions: &mut Vec<Action>,
) {
    for instance in slots.flat_map(|slot| &slot.instances).filter(|instance| instance.is_live()) {
        actions.push(Action::Stop { service: service.spec.name.clone(), instance: instance.id, why });
    }
}

fn keep(state: &State, service: &Service, now: Instant, actions: &mut Vec<Action>) {
    if service.build == Stage::Due {
        actions.push(Action::Build(service.spec.name.clone()));
    }
    stop_all(service, service.slots.range(service.wanted + 1..).map(|(_, slot)| slot), "scaled down", actions);
    if service.wanted == 0 {
        return;
    }
    let may_start = service.built && waits_for(state, service).is_empty();
    if may_start && is_prepare_due(&service.prepare, now) {
        actions.push(Action::Prepare(service.spec.name.clone()));
    }
    let may_start = may_start && service.prepare == Stage::Done;
    let surging = service.slots.values().any(|slot| is_surging(service, slot));
    let mut start = Start { may_start, now, surging };
    for number in 1..=service.wanted {
        match service.slots.get(&number) {
            Some(slot) => keep_slot(service, number, slot, &mut start, actions),
            None if may_start => actions.push(Action::Start { service: service.spec.name.clone(), slot: number }),
            None => {}
        }
    }
}

fn is_prepare_due(stage: &Stage, now: Instant) -> bool {
    match stage {
        Stage::Due => true,
        Stage::Failed(failure) => failure.retry_at.is_some_and(|at| at <= now),
        Stage::Running { .. } | Stage::Done => false,
    }
}

/// One slot at a time has an instance more than it needs.
fn is_surging(service: &Service, slot: &Slot) -> bool {
    let current = slot.instances.iter().any(|instance| instance.generation == service.generation && instance.is_live());
    current && slot.instances.iter().any(|instance| instance.generation < service.generation)
}

struct Start {
    may_start: bool,
    now: Instant,
    surging: bool,
}

fn keep_slot(service: &Service, number: u32, slot: &Slot, start: &mut Start, actions: &mut Vec<Action>) {
    let is_current = |generation: u64| generation == service.generation;
    let live = || slot.instances.iter().filter(|instance| instance.is_live());
    let current = live().find(|instance| is_current(instance.generation));
    // Of outdated instances one is worth keeping until the current one is ready: the newest that serves.
    let outdated = || live().filter(|instance| !is_current(instance.generation));
    let kept = outdated().max_by_key(|instance| (instance.phase == Phase::Ready, instance.generation));
    let may_start = start.may_start && slot.retry_at.is_none_or(|at| at <= start.now);
    let stop = |instance: InstanceId| Action::Stop {
        service: service.spec.name.clone(),
        instance,
        why: "replaced by a newer instance",
    };
    actions.extend(outdated().filter(|it| kept.is_some_and(|kept| kept.id != it.id)).map(|it| stop(it.id)));
    match (current, kept) {
        (Some(current), Some(kept)) => {
            if current.phase == Phase::Ready || kept.phase != Phase::Ready {
                actions.push(stop(kept.id));
            }
        }
        (Some(_), None) => {}
        (None, Some(kept)) if service.spec.is_exclusive() || kept.phase != Phase::Ready => {
            if may_start {
                actions.push(stop(kept.id));
            }
        }
        (None, Some(_)) => {
            if may_start && !start.surging {
                start.surging = true;
                actions.push(Action::Start { service: service.spec.name.clone(), slot: number });
            }
        }
        (None, None) => {
            let is_blocked = service.spec.is_exclusive() && !slot.instances.is_empty();
            if may_start && !is_blocked && !slot.is_settled(service.generation) {
                actions.push(Action::Start { service: service.spec.name.clone(), slot: number });
            }
        }
    }
}

#[cfg(test)]
mod tests;
