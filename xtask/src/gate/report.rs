//! What a run prints: a heading per step, what is being typed, and at the end one table and one line.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::path::Path;
use std::time::Duration;

use super::steps::{STEPS, Step};
use super::{Outcome, Verdict};

/// A step begins.
pub fn heading(number: usize, of: usize, step: &Step) {
    println!("\n━━ {number}/{of} {}: {}", step.name, step.about);
}

/// A step has ended.
pub fn ending(outcome: &Outcome) {
    match &outcome.verdict {
        Verdict::Failed(reason) => println!("━━ {} failed after {}: {reason}", outcome.name, time(outcome.took)),
        _ => println!("━━ {} passed in {}", outcome.name, time(outcome.took)),
    }
}

/// What is typed, and where.
pub fn command(folder: &Path, typed: &str) {
    match folder.display().to_string().as_str() {
        "" => println!("$ {typed}"),
        folder => println!("{folder}$ {typed}"),
    }
}

/// A remark of the run itself.
pub fn note(text: &str) {
    println!("   {text}");
}

/// The steps that there are.
pub fn list() {
    for step in STEPS {
        println!("{:<12} {}", step.name, step.about);
    }
}

/// The table of all steps, and the line that says it all.
pub fn summary(outcomes: &[Outcome]) {
    print!("\n{}", table(outcomes));
    println!("{}", closing_line(outcomes));
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:<12} {:>8} {:>7} {:>7} {:>8}  result\n", "step", "time", "passed", "failed", "skipped");
    for outcome in outcomes {
        let result = match &outcome.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed(reason) => reason.lines().next().unwrap_or("failed"),
            Verdict::NotRun => "not run",
        };
        let count = outcome.count;
        text += &format!(
            "{:<12} {:>8} {:>7} {:>7} {:>8}  {result}\n",
            outcome.name,
            time(outcome.took),
            count.passed,
            count.failed,
            count.skipped
        );
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    text += &format!("{:<12} {:>8}\n\n", "all", time(total));
    text
}

/// Exactly `N passed, M failed`. A step that failed without a failed test (a build, a lint) counts as one.
fn closing_line(outcomes: &[Outcome]) -> String {
    let passed: u64 = outcomes.iter().map(|outcome| outcome.count.passed).sum();
    let failed: u64 = outcomes
        .iter()
        .map(|outcome| outcome.count.failed.max(u64::from(matches!(outcome.verdict, Verdict::Failed(_)))))
        .sum();
    format!("{passed} passed, {failed} failed")
}

fn time(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::super::count::Count;
    use super::*;

    fn outcome(verdict: Verdict, passed: u64, failed: u64) -> Outcome {
        let count = Count { passed, failed, skipped: 0 };
        Outcome { name: "x", verdict, count, took: Duration::from_secs(61) }
    }

    #[test]
    fn the_last_line_is_the_sum_and_nothing_else() {
        let outcomes = [outcome(Verdict::Passed, 12, 0), outcome(Verdict::Passed, 3, 0)];
        assert_eq!(closing_line(&outcomes), "15 passed, 0 failed");
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_still_counts() {
        let failed = || Verdict::Failed("lint".to_owned());
        assert_eq!(closing_line(&[outcome(failed(), 0, 0), outcome(Verdict::NotRun, 0, 0)]), "0 passed, 1 failed");
        assert_eq!(closing_line(&[outcome(failed(), 7, 3)]), "7 passed, 3 failed");
    }

    #[test]
    fn the_table_names_each_step_with_its_time() {
        let text = table(&[outcome(Verdict::Failed("why\nmore".to_owned()), 1, 0)]);
        assert!(text.contains("1m 01s") && text.contains("why") && !text.contains("more"), "{text}");
    }
}
