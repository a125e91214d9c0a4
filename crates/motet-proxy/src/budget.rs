//! How many retries a door may make: a share of its requests, so that a callee in trouble is never burdened with more than that share on
//! top. As in Finagle's retry budget, with a reserve for doors with little traffic.

use std::cell::Cell;
use tokio::time::Instant;

/// How many retries are in reserve at first and after quiet times, whatever the traffic.
pub(crate) const RESERVE: f64 = 10.0;

/// For how long an unused share is kept, in seconds. An instance that dies fails all requests it has at once, which is more than one
/// second's share; a share that was saved up for hours would be a storm.
const KEPT: f64 = 10.0;

/// One worker's budget for one policy; the workers' reserves add up to [`RESERVE`].
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    reserve: f64,
    balance: Cell<f64>,
    last: Cell<Instant>,
    /// About how many requests came within [`KEPT`].
    recent: Cell<f64>,
}

impl Budget {
    /// `share` retries per request, for one of so many workers.
    pub(crate) fn new(share: f64, workers: usize) -> Self {
        let reserve = (RESERVE / workers as f64).max(1.0);
        Self { share, reserve, balance: Cell::new(reserve), last: Cell::new(Instant::now()), recent: Cell::new(0.0) }
    }

    /// A request came in. It earns the share, and after quiet seconds one share for each of them, so that a door with a request a
    /// minute can repeat one too.
    pub(crate) fn deposit(&self, now: Instant) {
        // Requests that waited for a place come later than they began: that was no quiet time.
        let last = self.last.get();
        self.last.set(now.max(last));
        let quiet = now.saturating_duration_since(last).as_secs_f64();
        let recent = self.recent.get() * (1.0 - quiet / KEPT).max(0.0) + 1.0;
        self.recent.set(recent);
        let most = self.reserve + self.share * recent;
        self.balance.set((self.balance.get() + self.share * quiet.max(1.0)).min(most));
    }

    /// Pays for one retry, if there is enough.
    pub(crate) fn withdraw(&self) -> bool {
        let balance = self.balance.get();
        let enough = self.share > 0.0 && balance >= 1.0;
        if enough {
            self.balance.set(balance - 1.0);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_storm_gets_the_share_and_the_reserve_and_no_more() {
        let budget = Budget::new(0.2, 1);
        let retries = (0..10_000)
            .map(|_| {
                budget.deposit(Instant::now());
                (0..3).filter(|_| budget.withdraw()).count()
            })
            .sum::<usize>();
        assert!((1990..=2010).contains(&retries), "{retries}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_come_out_of_order_earn_no_quiet_time() {
        let budget = Budget::new(0.2, 1);
        while budget.withdraw() {}
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        budget.deposit(Instant::now());
        while budget.withdraw() {}
        let mut retries = 0;
        for _ in 0..500 {
            budget.deposit(early);
            budget.deposit(Instant::now());
            retries += (0..10).filter(|_| budget.withdraw()).count();
        }
        assert!((195..=205).contains(&retries), "{retries} for 1,000 requests");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ten_seconds_of_traffic_did_not_use_is_there_when_an_instance_dies() {
        let budget = Budget::new(0.2, 1);
        for _ in 0..20_000 {
            tokio::time::advance(Duration::from_millis(5)).await;
            budget.deposit(Instant::now());
        }
        let saved = (0..10_000).filter(|_| budget.withdraw()).count();
        assert!((380..=420).contains(&saved), "{saved} at 200 requests a second");
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_time_fills_the_reserve_again_and_not_more() {
        let budget = Budget::new(0.2, 1);
        while budget.withdraw() {}
        tokio::time::advance(Duration::from_secs(3600)).await;
        budget.deposit(Instant::now());
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), RESERVE as usize);
        assert!(!Budget::new(0.0, 1).withdraw());
    }
}
