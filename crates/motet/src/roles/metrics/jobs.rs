//! Jobs in numbers: a handful of series for each service that takes them.

use motet_api::exposition::Family;
use motet_jobs::Counts;
use std::collections::BTreeMap;

type Read = fn(&Counts) -> u64;

/// All families about jobs: none where no service takes any.
pub(crate) fn families(counts: &BTreeMap<String, Counts>) -> Vec<Family> {
    if counts.is_empty() {
        return Vec::new();
    }
    let counters: [(&'static str, &'static str, Read); 2] = [
        ("motet_jobs_submitted", "Jobs that a service was asked for.", |it| it.submitted),
        ("motet_jobs_attempts", "Attempts at a service's jobs.", |it| it.attempts),
    ];
    let gauges: [(&'static str, &'static str, Read); 5] = [
        ("motet_jobs_open", "Jobs that are not over.", |it| it.open),
        ("motet_jobs_open_bytes", "What jobs take on disk that are not over.", |it| it.open_bytes),
        ("motet_jobs_running", "Jobs that are with the service.", |it| it.running),
        ("motet_jobs_kept", "Jobs that are over and kept.", |it| it.kept),
        ("motet_jobs_kept_bytes", "What jobs take on disk that are over and kept.", |it| it.kept_bytes),
    ];
    let all = |mut family: Family, read: Read| {
        counts.iter().for_each(|(service, it)| family.count(vec![("service", service.clone())], read(it)));
        family
    };
    let mut families: Vec<Family> =
        counters.into_iter().map(|(name, help, read)| all(Family::counter(name, help), read)).collect();
    let mut finished = Family::counter("motet_jobs_finished", "Jobs that are over.");
    for (service, it) in counts {
        for (state, count) in [("succeeded", it.succeeded), ("failed", it.failed), ("cancelled", it.cancelled)] {
            finished.count(vec![("service", service.clone()), ("state", state.to_owned())], count);
        }
    }
    families.push(finished);
    families.extend(gauges.into_iter().map(|(name, help, read)| all(Family::gauge(name, help), read)));
    families
}
