//! How fast a counter has been rising lately.

use crate::time::Time;
use std::{collections::VecDeque, time::Duration};

/// Looked back this far.
const SPAN: Duration = Duration::from_secs(10);

/// Looks at a counter.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    looks: VecDeque<(Time, u64)>,
}

impl Rate {
    /// Another look; those that are too old are forgotten, but for one.
    pub(crate) fn look(&mut self, now: Time, total: u64) {
        while self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= SPAN) {
            self.looks.pop_front();
        }
        if self.looks.back().is_none_or(|(at, _)| now.since(*at) >= Duration::from_millis(500)) {
            self.looks.push_back((now, total));
        }
    }

    /// Per second, over the last seconds.
    pub(crate) fn per_second(&self, now: Time, total: u64) -> f64 {
        let Some((at, then)) = self.looks.front() else { return 0.0 };
        let seconds = now.since(*at).as_secs_f64();
        if seconds > 0.0 { total.saturating_sub(*then) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_only() {
        let mut rate = Rate::default();
        for second in 0..60 {
            let total = if second < 30 { second * 1000 } else { 29_000 + (second - 29) * 10 };
            rate.look(Time(second * 1000), total);
        }
        let per_second = rate.per_second(Time(60_000), 29_310);
        assert!((9.0..11.0).contains(&per_second), "{per_second}");
        assert_eq!(Rate::default().per_second(Time(1), 5), 0.0);
    }
}
