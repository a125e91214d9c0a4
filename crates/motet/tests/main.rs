//! The program as its users meet it: real processes, real sockets, a folder of their own for each test.

mod book;
mod definition;
mod events;
mod faults;
mod footprint;
mod lifecycle;
mod metrics;
mod policies;
mod scratch;
mod stores;
mod survival;
mod views;
