//! How many requests are let in over time: the generic cell rate algorithm (ITU-T I.371), which keeps one moment per bucket instead of
//! tokens and needs no timer.

use crate::policy::{Rate, RateBy};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How many clients are told apart. More share one bucket, so that a crowd costs neither memory nor grants anybody more.
const CLIENTS_MAX: usize = 65_536;

/// The buckets of one limit, over all workers.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<Buckets>);

/// For each bucket the moment at which it will be full again; missing means full.
#[derive(Debug, Default)]
struct Buckets {
    shared: Option<Instant>,
    by_client: HashMap<Box<str>, Instant>,
}

impl Limiter {
    /// Lets a request in, or says how long it would have to wait.
    pub(crate) fn admit(&self, rate: &Rate, client: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.0.lock();
        let bucket = match rate.by {
            RateBy::All => &mut buckets.shared,
            RateBy::Client => return buckets.admit_client(rate, client, now),
        };
        let full_at = take(rate, *bucket, now)?;
        *bucket = Some(full_at);
        Ok(())
    }
}

impl Buckets {
    fn admit_client(&mut self, rate: &Rate, client: &str, now: Instant) -> Result<(), Duration> {
        if let Some(full_at) = self.by_client.get_mut(client) {
            *full_at = take(rate, Some(*full_at), now)?;
            return Ok(());
        }
        if self.by_client.len() >= CLIENTS_MAX {
            self.by_client.retain(|_, full_at| *full_at > now);
        }
        if self.by_client.len() >= CLIENTS_MAX {
            self.shared = Some(take(rate, self.shared, now)?);
            return Ok(());
        }
        let full_at = take(rate, None, now)?;
        self.by_client.insert(client.into(), full_at);
        Ok(())
    }
}

fn take(rate: &Rate, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
    let each = rate.per / rate.requests.max(1);
    let full_at = full_at.map_or(now, |at| at.max(now)) + each;
    let deepest = now + each * rate.burst.max(1);
    if full_at <= deepest { Ok(full_at) } else { Err(full_at - deepest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(by: RateBy) -> Rate {
        Rate { requests: 10, per: Duration::from_secs(1), burst: 3, by }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_then_the_rate_holds_and_says_how_long_to_wait() {
        let (limiter, rate) = (Limiter::default(), rate(RateBy::All));
        assert_eq!((0..5).filter(|_| limiter.admit(&rate, "a").is_ok()).count(), 3);
        assert_eq!(limiter.admit(&rate, "b"), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(limiter.admit(&rate, "b").is_ok() && limiter.admit(&rate, "b").is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..5).filter(|_| limiter.admit(&rate, "a").is_ok()).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_have_buckets_of_their_own_and_a_crowd_shares_one() {
        let (limiter, rate) = (Limiter::default(), rate(RateBy::Client));
        assert_eq!((0..5).filter(|_| limiter.admit(&rate, "a").is_ok()).count(), 3);
        assert!(limiter.admit(&rate, "b").is_ok());
        for n in 0..CLIENTS_MAX {
            let _ = limiter.admit(&rate, &n.to_string());
        }
        assert!(limiter.0.lock().by_client.len() <= CLIENTS_MAX);
        assert_eq!((0..5).filter(|n| limiter.admit(&rate, &format!("crowd {n}")).is_ok()).count(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limiter.admit(&rate, "c").is_ok());
        assert!(limiter.0.lock().by_client.len() < 10, "full buckets are forgotten");
    }
}
