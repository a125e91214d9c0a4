//! The life of a job, step by step.

use super::*;
use crate::job::{JobId, Target};
use proptest::prelude::*;

fn spec() -> Spec {
    Spec { retry: crate::spec::Retry { attempts: 3, ..Default::default() }, ..Spec::default() }
}

fn job() -> Job {
    let spec = spec();
    Job {
        id: JobId::new(),
        target: Target { service: "parser".to_owned(), path: "/".to_owned() },
        headers: Vec::new(),
        body_bytes: 0,
        caller: "shop".to_owned(),
        idempotency_key: None,
        key: None,
        attempts_max: spec.retry.attempts,
        callback: None,
        event: None,
        of: None,
        state: State::Queued,
        round: 1,
        attempts: 0,
        created_at: 0,
        counts_from: 0,
        deadline: deadline(0, &spec),
        due_at: None,
        begun_at: None,
        leased_until: None,
        finished_at: None,
        progress: None,
        failure: None,
        answer: None,
        callback_job: None,
    }
}

fn answer(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Some("said".into()), retry_after_ms: None }
}

fn running() -> Job {
    let mut job = job();
    assert_eq!(begin(&mut job, 1, &spec(), 10), Begin::Run);
    job
}

#[test]
fn a_job_runs_fails_waits_and_succeeds() {
    let (spec, mut job) = (spec(), running());
    assert_eq!((job.state, job.attempts, job.begun_at), (State::Running, 1, Some(10)));
    let next = answered(&mut job, &spec, Ok(&answer(503)), 20, 1.0);
    assert_eq!(next, Next::Again(Duration::from_secs(1)));
    assert_eq!((job.state, job.due_at), (State::Retrying, Some(1020)));
    assert_eq!(begin(&mut job, 1, &spec, 1000), Begin::Later(Duration::from_millis(20)), "a ticket that comes early");
    assert_eq!(begin(&mut job, 1, &spec, 1020), Begin::Run);
    assert_eq!(answered(&mut job, &spec, Ok(&answer(200)), 1030, 1.0), Next::Over);
    assert_eq!((job.state, job.attempts, job.finished_at), (State::Succeeded, 2, Some(1030)));
    assert_eq!(job.answer.as_ref().map(|answer| (answer.status, answer.bytes)), Some((200, Some(4))));
    let over = job.clone();
    assert_eq!(begin(&mut job, 1, &spec, 2000), Begin::Nothing);
    assert_eq!(completed(&mut job, &spec, &answer(500), 2000, 0.0), None);
    assert!(!cancel(&mut job, 2000) && !lose(&mut job, 2000) && !extend(&mut job, 1) && !retry(&mut job, &spec, 2000));
    assert_eq!(job, over, "what is over stays as it is");
}

#[test]
fn a_permanent_answer_and_the_last_attempt_end_it_with_what_was_said() {
    let (spec, mut job) = (spec(), running());
    assert_eq!(answered(&mut job, &spec, Ok(&answer(422)), 20, 0.0), Next::Over);
    assert_eq!((job.state, job.answer.map(|answer| answer.status)), (State::Failed, Some(422)));
    let mut job = running();
    for at in [20_000, 40_000] {
        assert!(matches!(answered(&mut job, &spec, Err("nobody there"), at, 1.0), Next::Again(_)));
        assert_eq!(begin(&mut job, 1, &spec, at + 10_000), Begin::Run);
    }
    assert_eq!(answered(&mut job, &spec, Err("nobody there"), 60_000, 1.0), Next::Over);
    assert_eq!((job.state, job.answer), (State::Failed, None));
    assert_eq!(job.failure.map(|failure| failure.detail).as_deref(), Some("nobody there"));
}

#[test]
fn an_attempt_without_an_end_counts_and_one_attempt_means_at_most_once() {
    let (spec, mut job) = (spec(), running());
    assert_eq!(begin(&mut job, 1, &spec, 20), Begin::Run, "Motet was killed; it comes again");
    assert_eq!(job.attempts, 2);
    let mut job = running();
    job.attempts_max = 1;
    assert_eq!(begin(&mut job, 1, &spec, 20), Begin::GivenUp, "it was sent once, and never is again");
    assert_eq!(job.state, State::Failed);
}

#[test]
fn a_lease_holds_until_its_end_and_then_the_job_comes_again() {
    let (spec, mut job) = (spec(), running());
    assert_eq!(answered(&mut job, &spec, Ok(&answer(202)), 20, 0.0), Next::Leased);
    assert_eq!(job.leased_until, Some(60_020));
    assert!(extend(&mut job, 90_000));
    assert!(matches!(begin(&mut job, 1, &spec, 60_020), Begin::Later(_)), "the queue's ticket came early");
    let mut late = job.clone();
    assert_eq!(begin(&mut job, 1, &spec, 90_000), Begin::Run);
    assert_eq!((job.attempts, job.leased_until), (2, None));
    assert!(job.failure.is_some_and(|failure| failure.detail.contains("lease was over")));
    assert_eq!(
        completed(&mut late, &spec, &answer(200), 90_001, 0.0),
        Some(Next::Over),
        "late, and nobody has begun it again"
    );
}

#[test]
fn what_was_asked_for_is_waited_for_and_what_is_too_old_is_given_up() {
    let (spec, mut job) = (spec(), job());
    (job.due_at, job.counts_from) = (Some(5000), 5000);
    assert_eq!(begin(&mut job, 1, &spec, 0), Begin::Later(Duration::from_secs(5)));
    let age = 7 * 24 * 3600 * 1000;
    assert_eq!(begin(&mut job, 1, &spec, 5000 + age), Begin::GivenUp);
    let mut job = running();
    let mut asked = answer(503);
    asked.retry_after_ms = Some(3000);
    assert_eq!(answered(&mut job, &spec, Ok(&asked), 20, 0.0), Next::Again(Duration::from_secs(3)));
    assert_eq!(begin(&mut job, 1, &spec, 3020), Begin::Run);
    asked.retry_after_ms = Some(u64::MAX);
    assert_eq!(answered(&mut job, &spec, Ok(&asked), 4000, 0.0), Next::Again(Duration::from_secs(24 * 3600)));
}

#[test]
fn begun_anew_it_has_all_attempts_and_an_old_ticket_means_nothing() {
    let (spec, mut job) = (spec(), running());
    assert!(cancel(&mut job, 20));
    assert!(!is_current(&job, 1, 1), "its answer comes too late");
    assert!(retry(&mut job, &spec, 30));
    assert_eq!((job.state, job.round, job.attempts, job.finished_at), (State::Queued, 2, 0, None));
    assert_eq!(begin(&mut job, 1, &spec, 40), Begin::Nothing);
    assert_eq!(begin(&mut job, 2, &spec, 40), Begin::Run);
    assert!(!is_current(&job, 1, 1) && is_current(&job, 2, 1));
}

#[derive(Debug, Clone)]
enum Step {
    Ticket(u32),
    Answer(u16),
    Broken,
    Complete(u16),
    Cancel,
    Lose,
    Extend,
    Retry,
}

fn step() -> impl Strategy<Value = Step> {
    let status = || prop_oneof![Just(200_u16), Just(202), Just(422), Just(503), 100..600_u16];
    prop_oneof![
        8 => (0..4_u32).prop_map(Step::Ticket),
        6 => status().prop_map(Step::Answer),
        2 => Just(Step::Broken),
        2 => status().prop_map(Step::Complete),
        1 => Just(Step::Cancel),
        1 => Just(Step::Lose),
        1 => Just(Step::Extend),
        1 => Just(Step::Retry),
    ]
}

proptest! {
    /// Whatever comes in whatever order: what is over has an end and stays over, no more is sent than there are attempts, what runs was begun.
    #[test]
    fn no_sequence_of_events_breaks_what_holds(steps in prop::collection::vec((step(), 0..200_000_u64), 1..60)) {
        let (spec, mut job, mut now, mut sent) = (spec(), job(), 0, 0);
        for (step, later) in steps {
            now += later;
            let before = job.clone();
            match step {
                Step::Ticket(round) => {
                    if begin(&mut job, round, &spec, now) == Begin::Run {
                        sent += 1;
                        prop_assert_eq!(round, job.round);
                    }
                }
                Step::Answer(status) if job.state == State::Running => drop(answered(&mut job, &spec, Ok(&answer(status)), now, 0.5)),
                Step::Broken if job.state == State::Running => drop(answered(&mut job, &spec, Err("broken"), now, 0.5)),
                Step::Answer(_) | Step::Broken => {}
                Step::Complete(202) => {}
                Step::Complete(status) => drop(completed(&mut job, &spec, &answer(status), now, 0.5)),
                Step::Cancel => drop(cancel(&mut job, now)),
                Step::Lose => drop(lose(&mut job, now)),
                Step::Extend => drop(extend(&mut job, now + 1000)),
                Step::Retry => if retry(&mut job, &spec, now) { sent = 0; },
            }
            prop_assert!(sent <= job.attempts_max && job.attempts == sent, "{:?}", job);
            prop_assert_eq!(job.state.is_over(), job.finished_at.is_some());
            prop_assert!(!before.state.is_over() || job == before || job.round == before.round + 1);
            prop_assert!(job.state != State::Running || job.begun_at.is_some() && job.due_at.is_none());
            prop_assert!(job.state != State::Retrying || job.due_at.is_some());
            prop_assert!(job.leased_until.is_none() || job.state == State::Running);
            prop_assert!(job.answer.is_none() || job.state.is_over());
        }
    }
}
