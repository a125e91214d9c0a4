//! The program as its users meet it: real processes, real sockets, a folder of their own for each test.

mod book;
mod definition;
mod engines;
mod events;
mod faults;
mod footprint;
mod inbox;
mod jobs;
mod lifecycle;
mod metrics;
mod outbox;
mod policies;
mod scratch;
mod stores;
mod survival;
mod views;
