//! Faults as they are typed: `2s`, `2s:10%`, `503:0.1`, `4KiB`, `10KiB/s:50%`. Each is an amount, and a share of all tries behind a colon.

use motet_api::wire::fault::{Effect, Strike};
use motet_kernel::{
    endpoint::EdgeName,
    quantity::{parse_duration, parse_size},
};
use std::time::Duration;

/// `2s`, `2s:10%`.
pub(crate) fn latency(text: &str) -> Result<Strike, String> {
    let (amount, share) = split(text)?;
    let millis = u64::try_from(time(amount)?.as_millis()).map_err(|error| error.to_string())?;
    Ok(Strike { effect: Effect::LatencyMs(millis), share })
}

/// `503`, `503:10%`.
pub(crate) fn abort(text: &str) -> Result<Strike, String> {
    let (amount, share) = split(text)?;
    let status = amount.parse().ok().filter(|status| (400..=599).contains(status));
    let status =
        status.ok_or_else(|| format!("`{amount}` is not the status of a failure: write a number from 400 to 599"))?;
    Ok(Strike { effect: Effect::Abort(status), share })
}

/// `4KiB`, `4KiB:10%`.
pub(crate) fn cut(text: &str) -> Result<Strike, String> {
    let (amount, share) = split(text)?;
    Ok(Strike { effect: Effect::CutAfterBytes(size(amount)?), share })
}

/// `10KiB/s`, `10KiB/s:10%`.
pub(crate) fn slow(text: &str) -> Result<Strike, String> {
    let (amount, share) = split(text)?;
    let amount =
        amount.strip_suffix("/s").ok_or_else(|| format!("`{amount}` is not a rate: write it as in `10KiB/s`"))?;
    match size(amount)? {
        0 => Err("a body that does not come at all is a blackhole: `--blackhole`".to_owned()),
        rate => Ok(Strike { effect: Effect::SlowBytesPerSecond(rate), share }),
    }
}

/// `10%`, `0.1`.
pub(crate) fn blackhole(text: &str) -> Result<Strike, String> {
    Ok(Strike { effect: Effect::Blackhole, share: share(text)? })
}

/// `5m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// `answerer->embedder`, with either arrow.
pub(crate) fn edge(text: &str) -> Result<String, String> {
    text.parse::<EdgeName>().map(|edge| edge.to_string()).map_err(|error| format!("{error}, in quotes"))
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn split(text: &str) -> Result<(&str, f64), String> {
    match text.rsplit_once(':') {
        Some((amount, part)) => Ok((amount.trim(), share(part)?)),
        None => Ok((text.trim(), 1.0)),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| percent / 100.0),
        None => number(text),
    };
    let is_share = |share: &f64| *share > 0.0 && *share <= 1.0;
    share.filter(is_share).ok_or_else(|| {
        format!(
            "`{text}` is not a share: write a percentage (`10%`) or a fraction (`0.1`), above nothing and up to all"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_without_a_share_is_for_every_try() {
        assert_eq!(latency("2s"), Ok(Strike { effect: Effect::LatencyMs(2000), share: 1.0 }));
        assert_eq!(latency("1m30s:10%"), Ok(Strike { effect: Effect::LatencyMs(90_000), share: 0.1 }));
        assert_eq!(abort("503:0.25"), Ok(Strike { effect: Effect::Abort(503), share: 0.25 }));
        assert_eq!(cut("4KiB"), Ok(Strike { effect: Effect::CutAfterBytes(4096), share: 1.0 }));
        assert_eq!(slow("10KiB/s:50%"), Ok(Strike { effect: Effect::SlowBytesPerSecond(10_240), share: 0.5 }));
        assert_eq!(blackhole("100%"), Ok(Strike { effect: Effect::Blackhole, share: 1.0 }));
        assert_eq!(edge("a->b"), Ok("a→b".to_owned()));
    }

    #[test]
    fn what_is_not_a_fault_is_refused_with_the_way_to_write_it() {
        assert!(abort("200").expect_err("no failure").contains("400 to 599"));
        assert!(slow("10KiB").expect_err("no rate").contains("10KiB/s"));
        assert!(latency("2").expect_err("no unit").contains("unit"));
        for share in ["0", "0%", "101%", "1.5", "-1", "NaN", "inf", "", "many"] {
            assert!(blackhole(share).is_err(), "{share}");
            assert!(latency(&format!("2s:{share}")).is_err(), "{share}");
        }
        assert!(edge("a-b").is_err());
    }
}
