//! The data plane beside its peers: everything that a user could put between two services, doing the same work in one
//! run, in turns, so that what the machine does besides falls on all of them alike.
//!
//! What is measured and how to read it: `bench/README.md`. Map: [`contender`] (what is measured), [`generator`] (who
//! asks, and counts), [`pace`] (when), [`answer`] (what came back), [`processes`] and [`meter`] (what it cost), [`machine`] (what else
//! the machine did), [`round`] (one turn of each), [`streams`] and [`grpc`] (the other kinds of calls), [`statistics`], [`number`]
//! and [`report`] (what is printed).

pub mod answer;
pub mod contender;
pub mod generator;
pub mod grpc;
pub mod machine;
pub mod meter;
pub mod number;
pub mod pace;
pub mod processes;
pub mod report;
pub mod round;
pub mod run;
pub mod statistics;
pub mod streams;
