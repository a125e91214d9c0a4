//! The program as its users meet it: real processes, real sockets, a folder of their own for each test.

mod definition;
mod faults;
mod footprint;
mod lifecycle;
mod policies;
mod metrics;
mod scratch;
mod stores;
mod survival;
