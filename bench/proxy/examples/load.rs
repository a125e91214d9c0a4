//! The benchmark's caller alone, for profiling one program: `load <address> <seconds> [<requests per second>]`. Without a rate as
//! fast as 64 connections can.

use anyhow::{Context, Result};
use bench_proxy::{generator::Generator, pace::SECOND};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("usage: load <address> <seconds> [<requests per second>]");
    let (target, seconds) = (next()?.parse()?, next()?.parse::<u64>()?);
    let rate = next().ok().map(|rate| rate.parse()).transpose()?;
    let mut generator = Generator::connect(target, if rate.is_some() { 32 } else { 64 }, rate)?;
    generator.run(SECOND / 5)?;
    let tally = generator.run(seconds * SECOND)?;
    println!(
        "{:.0} requests/s, p50 {:.0} µs, p99 {:.0} µs, {} errors",
        tally.rate(),
        tally.quantile(0.5),
        tally.quantile(0.99),
        tally.errors
    );
    Ok(())
}
