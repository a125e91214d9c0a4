//! `cargo xtask test`: one command that proves everything, here and on a server.
//!
//! A suite that is started by hand in six places is started in none. So the steps stand in one list ([`steps::STEPS`]),
//! run one after the other (two cores are shared better by one build than by three), and the first that fails ends the
//! run: what comes after it would only repeat the cause. Each step has a limit; nothing here waits for ever.
//!
//! Where `CI` is set to `true`, nothing may be skipped: a test that reports itself as ignored fails its step.
//!
//! Map: [`steps`] (what is run), [`tools`] (what the machine needs), [`shell`] (children and their limits), [`count`]
//! (what the test runners say), [`report`] (what is printed).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use count::Count;
use shell::Shell;
use steps::{STEPS, Step};

pub mod count;
pub mod report;
pub mod shell;
pub mod steps;
pub mod tools;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It did all it should.
    Passed,
    /// It did not, for this reason.
    Failed(String),
    /// An earlier one failed first.
    NotRun,
}

/// What is known of a step afterwards.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// Tests that it ran.
    pub count: Count,
    /// How long it took.
    pub took: Duration,
}

/// Runs all steps, or those that are named, and prints the summary.
///
/// # Errors
/// When a name is not a step's.
pub fn run(root: PathBuf, only: &[String]) -> Result<bool> {
    let chosen = choose(only)?;
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut shell = Shell::new(root, shell::to_terminal);
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (index, step) in chosen.iter().enumerate() {
        if outcomes.iter().any(|outcome| outcome.verdict != Verdict::Passed) {
            outcomes.push(Outcome {
                name: step.name,
                verdict: Verdict::NotRun,
                count: Count::default(),
                took: Duration::ZERO,
            });
            continue;
        }
        report::heading(index + 1, chosen.len(), step);
        let outcome = perform(step, &mut shell, strict);
        report::ending(&outcome);
        outcomes.push(outcome);
    }
    report::summary(&outcomes);
    Ok(outcomes.iter().all(|outcome| outcome.verdict == Verdict::Passed))
}

fn choose(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == *name)) {
        let names = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
        bail!("there is no step `{unknown}`; the steps are: {names}");
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

fn perform(step: &'static Step, shell: &mut Shell, strict: bool) -> Outcome {
    let begun = Instant::now();
    shell.begin(step.limit);
    let result = (step.run)(shell);
    let count = shell.count();
    let verdict = match result {
        Err(error) => Verdict::Failed(format!("{error:#}")),
        Ok(()) if count.failed > 0 => Verdict::Failed(format!("{} tests failed", count.failed)),
        Ok(()) if step.has_tests && count.passed == 0 => Verdict::Failed("no test was run".to_owned()),
        Ok(()) if strict && count.skipped > 0 => {
            Verdict::Failed(format!("{} tests were skipped, and nothing may be skipped here", count.skipped))
        }
        Ok(()) => Verdict::Passed,
    };
    Outcome { name: step.name, verdict, count, took: begun.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(has_tests: bool, run: fn(&mut Shell) -> Result<()>) -> &'static Step {
        Box::leak(Box::new(Step { name: "x", about: "", limit: Duration::from_secs(10), has_tests, run }))
    }

    fn verdict(has_tests: bool, strict: bool, run: fn(&mut Shell) -> Result<()>) -> Verdict {
        perform(step(has_tests, run), &mut Shell::new(".".into(), |_| ()), strict).verdict
    }

    fn says(shell: &mut Shell, line: &str) -> Result<()> {
        shell.run("echo", &[line])
    }

    #[test]
    fn a_step_passes_when_its_tests_pass() {
        assert_eq!(verdict(true, true, |shell| says(shell, "=== 2 passed in 1s ===")), Verdict::Passed);
    }

    #[test]
    fn a_step_that_should_run_tests_and_ran_none_fails() {
        assert!(matches!(verdict(true, false, |_| Ok(())), Verdict::Failed(_)));
        assert_eq!(verdict(false, false, |_| Ok(())), Verdict::Passed);
    }

    #[test]
    fn a_failed_test_fails_the_step_even_when_the_runner_says_all_is_well() {
        assert!(matches!(verdict(true, false, |shell| says(shell, "1 failed, 2 passed in 1s")), Verdict::Failed(_)));
    }

    #[test]
    fn a_skipped_test_fails_the_step_where_nothing_may_be_skipped() {
        let run: fn(&mut Shell) -> Result<()> = |shell| says(shell, "2 passed, 1 skipped in 1s");
        assert!(matches!(verdict(true, true, run), Verdict::Failed(_)));
        assert_eq!(verdict(true, false, run), Verdict::Passed);
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let message = choose(&["lynt".to_owned()]).unwrap_err().to_string();
        assert!(message.contains("lynt") && message.contains("lint"), "{message}");
        assert_eq!(choose(&["lint".to_owned()]).unwrap().len(), 1);
        assert_eq!(choose(&[]).unwrap().len(), STEPS.len());
    }
}
