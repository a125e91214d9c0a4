//! How many tests ran, read from what the runners print for people.
//!
//! Machine-readable reports differ more than these lines do, and the lines are what a person checks the sum against.

use std::ops::AddAssign;
use std::sync::LazyLock;

use regex::Regex;

/// Tests, by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Ran and held.
    pub passed: u64,
    /// Ran and did not hold, or could not be started.
    pub failed: u64,
    /// Were found and not run.
    pub skipped: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[expect(clippy::expect_used, reason = "literal patterns, compiled by every run of the tests")]
static PATTERNS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        // Terminal colours.
        r"\x1b\[[0-9;]*m",
        // cargo: test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s
        r"^test result: \w+\. (?P<rest>.*)$",
        // pytest: === 1 failed, 12 passed, 2 skipped, 1 warning in 0.31s ===   (quiet: without the frame)
        r"^(?:=+ )?(?P<rest>\d+ (?:passed|failed|skipped|error|xfailed|xpassed|deselected|warning).*) in \d[\d.:]*s?.*$",
        // node --test: `# pass 12` (tap) or `ℹ pass 12` (spec)
        r"^(?:#|ℹ) (?P<word>pass|fail|cancelled|skipped|todo) (?P<number>\d+)$",
    ]
    .map(|pattern| Regex::new(pattern).expect("a valid pattern"))
});

#[expect(clippy::expect_used, reason = "a literal pattern, compiled by every run of the tests")]
static AMOUNT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d+) (passed|failed|ignored|skipped|errors?|xfailed)\b").expect("a valid pattern"));

/// What a line adds; nothing for a line that is not a runner's summary.
pub fn of_line(line: &str) -> Count {
    let [colour, cargo, pytest, node] = &*PATTERNS;
    let line = colour.replace_all(line.trim_end(), "");
    let mut count = Count::default();
    if let Some(found) = node.captures(&line) {
        count.add(&found["word"], &found["number"]);
    } else if let Some(found) = cargo.captures(&line).or_else(|| pytest.captures(&line)) {
        for amount in AMOUNT.captures_iter(&found["rest"]) {
            count.add(&amount[2], &amount[1]);
        }
    }
    count
}

impl Count {
    fn add(&mut self, word: &str, number: &str) {
        let number: u64 = number.parse().unwrap_or(0);
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "error" | "errors" | "cancelled" => self.failed += number,
            _ => self.skipped += number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: u64, failed: u64, skipped: u64) -> Count {
        Count { passed, failed, skipped }
    }

    #[test]
    fn cargo_is_understood() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.02s";
        assert_eq!(of_line(line), count(12, 3, 1));
        assert_eq!(of_line("test result: \u{1b}[32mok\u{1b}[0m. 2 passed; 0 failed; 0 ignored;"), count(2, 0, 0));
    }

    #[test]
    fn pytest_is_understood() {
        assert_eq!(of_line("=========== 12 passed in 0.31s ==========="), count(12, 0, 0));
        assert_eq!(of_line("==== 1 failed, 12 passed, 2 skipped, 1 error in 63.10s (0:01:03) ===="), count(12, 2, 2));
        assert_eq!(of_line("12 passed, 1 warning in 0.31s"), count(12, 0, 0));
    }

    #[test]
    fn node_is_understood_in_both_reporters() {
        assert_eq!(of_line("# pass 12"), count(12, 0, 0));
        assert_eq!(of_line("ℹ fail 2"), count(0, 2, 0));
        assert_eq!(of_line("# todo 1"), count(0, 0, 1));
    }

    #[test]
    fn other_lines_add_nothing() {
        for line in ["", "running 12 tests", "the log says 3 passed", "# tests 12", "5 failed attempts"] {
            assert_eq!(of_line(line), Count::default(), "{line}");
        }
    }
}
