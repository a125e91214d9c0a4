//! When requests are due. A fixed schedule, made by the kernel: a periodic timer of nanosecond resolution wakes the
//! generator for each request, so that nothing spins on one of two cores and no rounding to milliseconds makes bursts.
//!
//! The due time of a request is its place in the schedule and never the time at which the generator woke up: what the
//! generator is late by counts as latency, as it would for a caller.

use std::{io, os::fd::AsFd};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// The monotonic clock in nanoseconds: the same for all processes, so that one can say when another did something.
pub fn now() -> u64 {
    nanoseconds(&clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: &Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * SECOND + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A point or a length in time as the kernel takes it.
pub fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(nanoseconds / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanoseconds % SECOND).unwrap_or(0),
    }
}

/// A schedule of requests, `interval` nanoseconds apart.
#[derive(Debug)]
pub struct Pacer {
    timer: rustix::fd::OwnedFd,
    first: u64,
    interval: u64,
    issued: u64,
}

impl Pacer {
    /// A schedule of `rate` requests a second that begins one interval from now.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn start(rate: u32) -> io::Result<Self> {
        let interval = SECOND / u64::from(rate.max(1));
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let first = now() + interval;
        let schedule = Itimerspec { it_interval: timespec(interval), it_value: timespec(first) };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &schedule)?;
        Ok(Self { timer, first, interval, issued: 0 })
    }

    /// Becomes readable when a request is due.
    pub fn timer(&self) -> impl AsFd + '_ {
        self.timer.as_fd()
    }

    /// The timer itself, for an event loop that wants to own what it waits for.
    ///
    /// # Errors
    /// When there is no file descriptor left.
    pub fn timer_copy(&self) -> io::Result<rustix::fd::OwnedFd> {
        self.timer.try_clone()
    }

    /// Makes the timer wait for the next due time.
    pub fn acknowledge(&self) {
        let mut expirations = [0; 8];
        // An empty timer was read by an earlier turn: what is due is told by the clock.
        let _ = rustix::io::read(&self.timer, &mut expirations);
    }

    /// The next request that is due by `now`, if any: its due time.
    pub fn due(&mut self, now: u64) -> Option<u64> {
        let next = self.first + self.issued * self.interval;
        (next <= now).then(|| {
            self.issued += 1;
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_their_places_in_the_schedule_however_late_one_asks() {
        let mut pacer = Pacer::start(1_000).unwrap();
        let first = pacer.first;
        assert_eq!(pacer.due(first - 1), None);
        let due: Vec<_> = std::iter::from_fn(|| pacer.due(first + 2_500_000)).collect();
        assert_eq!(due, [first, first + 1_000_000, first + 2_000_000]);
    }

    #[test]
    fn a_time_is_split_into_seconds_and_the_rest() {
        let time = timespec(2 * SECOND + 7);
        assert_eq!((time.tv_sec, time.tv_nsec), (2, 7));
        assert_eq!(nanoseconds(&time), 2 * SECOND + 7);
    }
}
