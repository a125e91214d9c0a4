//! The supervisor with real processes, through its handle only.

mod building;
mod fixture;
mod lifecycle;
mod logs;
mod orphans;
mod replacing;
