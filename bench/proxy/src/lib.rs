//! The data plane beside its peers: everything that a user could put between two services, doing the same work in one
//! run, in turns, so that what the machine does besides falls on all of them alike.
//!
//! What is measured and how to read it: `bench/README.md`. Map: [`contender`] (what is measured), [`generator`] (who
//! asks, and counts), [`pace`] (when), [`answer`] (what came back), [`processes`] (what it cost), [`machine`] (what else
//! the machine did), [`round`] (one turn of each), [`streams`] and [`grpc`] (the other kinds of calls), [`statistics`]
//! and [`report`] (what is printed).

pub mod answer;
pub mod contender;
pub mod generator;
pub mod machine;
pub mod pace;
pub mod processes;
pub mod report;
pub mod round;
pub mod statistics;
