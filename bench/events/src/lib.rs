//! Events beside their peers, and beside the disk: durable publish → deliver → acknowledge, in turns in one run, so that what the machine does
//! besides falls on all of them alike.
//!
//! What is measured and how to read it: `bench/events.md`. Map: [`contender`] (who is measured, and by which way), [`message`] (what is
//! sent), [`publish`] (how), [`tally`] (what is counted), [`cell`] (one way for a stretch of time), [`waiting`] (memory while a million waits),
//! [`log`] (the floor), [`http1`] (a caller that costs little), [`run`] and [`report`] (what is printed). How the machine and processes are
//! looked at is `bench-proxy`'s.

pub mod cell;
pub mod contender;
pub mod http1;
pub mod log;
pub mod message;
pub mod publish;
pub mod report;
pub mod run;
pub mod tally;
pub mod waiting;
