//! The faults that people put on edges and routes: which are in force, since when, and until when.
//!
//! The data plane only knows what strikes now. Who forgets a fault finds the system broken a week later, so this book knows when each
//! one ends by itself, and the pictures of the system show them all. It is in memory only: a fault never outlives the session.

use motet_api::{
    error::Refusal,
    wire::{self, fault::Strike},
};
use motet_kernel::clock::{self, Timestamp};
use motet_proxy::{
    Door,
    fault::{Effect, Fault},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How many faults one edge or route may have at a time.
const PER_DOOR_MAX: usize = 16;
/// The longest latency: what is meant to last for ever is a blackhole.
const LATENCY_MAX: Duration = Duration::from_secs(3600);
/// The longest time after which a fault ends by itself.
const FOR_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Waited for when nothing is due: a change wakes whoever waits.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// The book of faults.
#[derive(Debug)]
pub(crate) struct Faults {
    traffic: motet_proxy::Handle,
    book: Mutex<BTreeMap<Door, Vec<Entry>>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Entry {
    strike: Strike,
    since: Timestamp,
    until: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    /// The same, for people.
    time: Timestamp,
}

impl Faults {
    pub(crate) fn new(traffic: motet_proxy::Handle) -> Self {
        Self { traffic, book: Mutex::default(), changed: Notify::new() }
    }

    /// All faults that are in force, in the order of edges and routes.
    pub(crate) fn list(&self) -> Vec<wire::fault::Fault> {
        self.book.lock().iter().flat_map(|(door, entries)| entries.iter().map(|entry| show(door, entry))).collect()
    }

    /// Puts faults on a door; returns all that are there then.
    pub(crate) fn add(
        &self,
        door: Door,
        strikes: &[Strike],
        lasts: Option<Duration>,
    ) -> Result<Vec<wire::fault::Fault>, Refusal> {
        strikes.iter().try_for_each(check)?;
        if strikes.is_empty() {
            return Err(Refusal::Unreadable("no fault is given".to_owned()));
        }
        if lasts.is_some_and(|lasts| lasts.is_zero() || lasts > FOR_MAX) {
            return Err(Refusal::Unreadable("a fault lasts longer than nothing and a week at most".to_owned()));
        }
        let since = clock::now();
        let until = lasts
            .map(|lasts| End { at: Instant::now() + lasts, time: since.checked_add(lasts).unwrap_or(Timestamp::MAX) });
        let mut book = self.book.lock();
        let mut entries = book.get(&door).cloned().unwrap_or_default();
        for strike in strikes {
            entries.retain(|entry| !strike.effect.replaces(entry.strike.effect));
            entries.push(Entry { strike: *strike, since, until });
        }
        if entries.len() > PER_DOOR_MAX {
            return Err(Refusal::NotPossible(format!("{door} would have more than {PER_DOOR_MAX} faults")));
        }
        self.put(&door, &entries).map_err(|error| Refusal::NotPossible(error.to_string()))?;
        let shown = entries.iter().map(|entry| show(&door, entry)).collect();
        tracing::warn!(edge = %door, faults = entries.len(), "faults were put on");
        book.insert(door, entries);
        drop(book);
        self.changed.notify_one();
        Ok(shown)
    }

    /// Removes the faults of a door, or all; returns what was removed.
    pub(crate) fn remove(&self, door: Option<&Door>) -> Vec<wire::fault::Fault> {
        let mut book = self.book.lock();
        let doors: Vec<Door> = book.keys().filter(|held| door.is_none_or(|door| door == *held)).cloned().collect();
        let mut removed = Vec::new();
        for door in doors {
            let entries = book.remove(&door).unwrap_or_default();
            removed.extend(entries.iter().map(|entry| show(&door, entry)));
            // A door that is closed has no faults any more.
            let _ = self.put(&door, &[]);
            tracing::info!(edge = %door, "faults were removed");
        }
        removed
    }

    /// Forgets the faults of doors that a new definition has closed.
    pub(crate) fn forget_closed(&self) {
        self.book.lock().retain(|door, entries| self.put(door, entries).is_ok());
    }

    /// Ends faults when their time has come; never returns.
    pub(crate) async fn expire(self: Arc<Self>) {
        loop {
            let next = self.book.lock().values().flatten().filter_map(|entry| entry.until).map(|end| end.at).min();
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(next.unwrap_or_else(|| Instant::now() + FAR)) => self.end_due(),
            }
        }
    }

    fn end_due(&self) {
        let now = Instant::now();
        self.book.lock().retain(|door, entries| {
            let before = entries.len();
            entries.retain(|entry| entry.until.is_none_or(|end| end.at > now));
            if entries.len() < before {
                tracing::info!(edge = %door, ended = before - entries.len(), "faults have ended by themselves");
                return self.put(door, entries).is_ok() && !entries.is_empty();
            }
            true
        });
    }

    fn put(&self, door: &Door, entries: &[Entry]) -> Result<(), motet_proxy::error::NotOpen> {
        let faults =
            entries.iter().map(|entry| Fault { effect: effect(entry.strike.effect), share: entry.strike.share });
        self.traffic.set_faults(door, faults.collect())
    }
}

fn check(strike: &Strike) -> Result<(), Refusal> {
    use wire::fault::Effect;
    let refuse = |what: String| Err(Refusal::Unreadable(what));
    if !(strike.share > 0.0 && strike.share <= 1.0) {
        return refuse(format!("a share of {} is not above 0 and at most 1", strike.share));
    }
    match strike.effect {
        Effect::LatencyMs(ms) if ms == 0 || Duration::from_millis(ms) > LATENCY_MAX => {
            refuse("a latency is at least a millisecond and at most an hour".to_owned())
        }
        Effect::Abort(status) if !(400..=599).contains(&status) => {
            refuse(format!("{status} is not a status of a failure: 400 to 599"))
        }
        Effect::SlowBytesPerSecond(0) => refuse("a body has to come at one byte per second at least".to_owned()),
        _ => Ok(()),
    }
}

fn effect(effect: wire::fault::Effect) -> Effect {
    use wire::fault::Effect as Wire;
    match effect {
        Wire::LatencyMs(ms) => Effect::Latency(Duration::from_millis(ms)),
        Wire::Abort(status) => {
            Effect::Abort(http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE))
        }
        Wire::CutAfterBytes(after) => Effect::Cut { after },
        Wire::SlowBytesPerSecond(rate) => Effect::Slow { rate },
        Wire::Blackhole => Effect::Blackhole,
    }
}

/// A door as it travels.
pub(crate) fn wire_door(door: &Door) -> wire::fault::Door {
    match door {
        Door::Edge(edge) => wire::fault::Door::Edge(edge.to_string()),
        Door::Route { prefix, .. } => wire::fault::Door::Route(prefix.to_string()),
    }
}

fn show(door: &Door, entry: &Entry) -> wire::fault::Fault {
    wire::fault::Fault {
        door: wire_door(door),
        effect: entry.strike.effect,
        share: entry.strike.share,
        since: entry.since.to_string(),
        until: entry.until.map(|end| end.time.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_api::wire::fault::Effect as Wire;
    use motet_kernel::{endpoint::EndpointSet, task::TaskGroup};
    use motet_proxy::{Config, EdgeSpec, Proxy};

    struct World {
        faults: Arc<Faults>,
        proxy: motet_proxy::Handle,
        group: TaskGroup,
        _endpoints: tokio::sync::watch::Sender<EndpointSet>,
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.group.cancel();
        }
    }

    fn edge() -> Door {
        Door::Edge("a->b".parse().expect("an edge"))
    }

    async fn world() -> World {
        let group = TaskGroup::new();
        let proxy = Proxy::start(Config { workers: std::num::NonZeroUsize::MIN, ..Config::default() }, &group)
            .expect("started");
        let (_endpoints, watch) = tokio::sync::watch::channel(EndpointSet::default());
        proxy.apply(vec![EdgeSpec::new("a->b".parse().expect("an edge"), watch)], None).await.expect("applied");
        World { faults: Arc::new(Faults::new(proxy.clone())), proxy, group, _endpoints }
    }

    fn strike(effect: Wire) -> Strike {
        Strike { effect, share: 1.0 }
    }

    #[tokio::test]
    async fn a_fault_replaces_one_of_its_kind_and_leaves_the_others() {
        let world = world().await;
        world.faults.add(edge(), &[strike(Wire::LatencyMs(2)), strike(Wire::Abort(503))], None).expect("added");
        let there =
            world.faults.add(edge(), &[strike(Wire::LatencyMs(9)), strike(Wire::Abort(500))], None).expect("added");
        let effects: Vec<_> = there.iter().map(|fault| fault.effect).collect();
        assert_eq!(effects, [Wire::Abort(503), Wire::LatencyMs(9), Wire::Abort(500)]);
        assert_eq!(world.proxy.faults()[0].1.len(), 3);
        assert_eq!(world.faults.remove(Some(&edge())).len(), 3);
        assert!(world.proxy.faults().is_empty() && world.faults.list().is_empty());
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let world = world().await;
        let refused = |strike: Strike| assert!(world.faults.add(edge(), &[strike], None).is_err(), "{strike:?}");
        for share in [0.0, -0.5, 1.1, f64::NAN, f64::INFINITY] {
            refused(Strike { effect: Wire::Blackhole, share });
        }
        for effect in [
            Wire::LatencyMs(0),
            Wire::LatencyMs(u64::MAX),
            Wire::Abort(200),
            Wire::Abort(600),
            Wire::SlowBytesPerSecond(0),
        ] {
            refused(strike(effect));
        }
        assert!(world.faults.add(edge(), &[], None).is_err());
        assert!(world.faults.add(edge(), &[strike(Wire::Blackhole)], Some(Duration::MAX)).is_err());
        let many: Vec<_> = (400..420).map(|status| strike(Wire::Abort(status))).collect();
        assert!(world.faults.add(edge(), &many, None).is_err());
        let nowhere = Door::Edge("a->nobody".parse().expect("an edge"));
        assert!(world.faults.add(nowhere, &[strike(Wire::Blackhole)], None).is_err());
        assert!(world.faults.list().is_empty() && world.proxy.faults().is_empty());
    }

    #[tokio::test]
    async fn a_fault_ends_by_itself_and_the_others_of_the_edge_stay() {
        let world = world().await;
        world.group.spawn_dropping(motet_kernel::task::Kind::Periodic, "expiry", Arc::clone(&world.faults).expire());
        world.faults.add(edge(), &[strike(Wire::Blackhole)], None).expect("added");
        world.faults.add(edge(), &[strike(Wire::Abort(503))], Some(Duration::from_millis(30))).expect("added");
        assert!(world.faults.list()[1].until.is_some());
        tokio::time::timeout(Duration::from_secs(10), async {
            while world.proxy.faults()[0].1.len() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it ended");
        assert_eq!(world.faults.list().iter().map(|fault| fault.effect).collect::<Vec<_>>(), [Wire::Blackhole]);
    }

    #[tokio::test]
    async fn the_faults_of_a_closed_edge_are_forgotten() {
        let world = world().await;
        world.faults.add(edge(), &[strike(Wire::Blackhole)], None).expect("added");
        world.faults.forget_closed();
        assert_eq!(world.faults.list().len(), 1);
        world.proxy.apply(Vec::new(), None).await.expect("applied");
        world.faults.forget_closed();
        assert!(world.faults.list().is_empty());
    }
}
