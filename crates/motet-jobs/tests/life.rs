//! The ways a job can go, without anything dying.

use crate::world::{Does, World, order, spec, until};
use motet_jobs::{Answer, JobError, List, Spec, State, Target, Verdict};
use std::{sync::atomic::Ordering::SeqCst, time::Duration};

fn answer(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Some("done later".into()), retry_after_ms: None }
}

#[tokio::test]
async fn a_job_is_tried_until_it_succeeds_and_its_result_is_kept() {
    let world = World::new();
    world.outside.script.lock().extend([Does::Answers(503), Does::Breaks]);
    let id = world.submit("a document").await;
    assert_eq!(world.state(id), State::Queued);
    let job = world.work_until_over(id).await;
    assert_eq!((job.state, job.attempts), (State::Succeeded, 3));
    assert_eq!(job.failure.unwrap().detail, "the connection broke");
    assert_eq!(world.jobs.result(id).unwrap().as_deref(), Some(&b"a document"[..]));
    let calls = world.outside.calls.lock();
    assert_eq!(calls.iter().map(|call| call.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(calls[0].headers, [("x-own".to_owned(), "kept".to_owned())]);
    drop(calls);
    let counts = world.jobs.counts()["parser"];
    assert_eq!((counts.open, counts.open_bytes, counts.kept, counts.succeeded, counts.attempts), (0, 0, 1, 1, 3));
}

#[tokio::test]
async fn the_same_ticket_twice_is_one_request() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Hangs);
    let id = world.submit("").await;
    let ticket = world.ticket().await;
    let (first, second) = (world.deliver(&ticket), async {
        until("it runs", || world.state(id) == State::Running).await;
        let again = world.deliver(&ticket).await;
        world.jobs.cancel(id).await.unwrap();
        again
    });
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first, Verdict::Done);
    assert!(matches!(second, Verdict::Again(_)));
    assert_eq!(world.outside.calls.lock().len(), 1);
    assert_eq!(world.outside.taken_back.load(SeqCst), 1, "cancelling takes the request back");
    assert_eq!(world.deliver(&ticket).await, Verdict::Done);
    assert_eq!(world.outside.calls.lock().len(), 1, "and it never begins again");
}

#[tokio::test]
async fn a_handler_that_answers_202_completes_it_later() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Answers(202));
    let id = world.submit("").await;
    assert!(matches!(world.jobs.complete(id, answer(200)).await, Err(JobError::NotNow { .. })), "not begun");
    let ticket = world.ticket().await;
    assert_eq!(world.deliver(&ticket).await, Verdict::Leased);
    assert!(matches!(world.deliver(&ticket).await, Verdict::Again(_)), "its lease is not over");
    let told = world.jobs.progress(id, serde_json::json!({ "percent": 3 })).await.unwrap();
    assert_eq!(told.progress, Some(serde_json::json!({ "percent": 3 })));
    world.jobs.extend(id, Duration::from_secs(600)).await.unwrap();
    assert!(matches!(world.jobs.complete(id, answer(202)).await, Err(JobError::Unfit(_))));
    assert_eq!(world.jobs.complete(id, answer(200)).await.unwrap().state, State::Succeeded);
    assert_eq!(world.outside.settled.lock()[..], [("0".to_owned(), Verdict::Done)]);
    assert_eq!(world.jobs.result(id).unwrap().as_deref(), Some(&b"done later"[..]));
    assert!(matches!(world.jobs.complete(id, answer(500)).await, Err(JobError::NotNow { .. })));
    assert!(matches!(world.jobs.progress(id, 1.into()).await, Err(JobError::NotNow { .. })));
}

#[tokio::test]
async fn a_completion_can_ask_for_another_attempt() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Answers(202));
    let id = world.submit("").await;
    let ticket = world.ticket().await;
    assert_eq!(world.deliver(&ticket).await, Verdict::Leased);
    assert_eq!(world.jobs.complete(id, answer(503)).await.unwrap().state, State::Retrying);
    assert!(matches!(world.outside.settled.lock()[..], [(_, Verdict::Again(_))]));
    world.outside.tickets.lock().push_back(ticket);
    assert_eq!(world.work_until_over(id).await.attempts, 2);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_failure() {
    let world = World::with(crate::world::config(), Spec { timeout: Duration::from_millis(20), ..spec() });
    world.outside.script.lock().push_back(Does::Hangs);
    let id = world.submit("").await;
    let job = world.work_until_over(id).await;
    assert_eq!((job.state, job.attempts), (State::Succeeded, 2));
    assert!(job.failure.unwrap().detail.contains("no answer within 20ms"));
    assert_eq!(world.outside.taken_back.load(SeqCst), 1);
}

#[tokio::test]
async fn whoever_waits_hears_of_the_end_and_a_wait_has_an_end() {
    let world = World::new();
    let id = world.submit("").await;
    assert_eq!(world.jobs.wait(id, Duration::from_millis(10)).await.unwrap().state, State::Queued);
    let (waited, _) = tokio::join!(world.jobs.wait(id, Duration::from_secs(20)), world.work_until_over(id));
    assert_eq!(waited.unwrap().state, State::Succeeded);
}

#[tokio::test]
async fn a_failed_job_tells_its_caller_and_can_be_begun_again() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Answers(422));
    let callback = Some(Target { service: "shop".to_owned(), path: "/told".to_owned() });
    let order = motet_jobs::Order { callback, event: Some("job.done".to_owned()), ..order("x") };
    let id = world.jobs.submit(order).await.unwrap().job.id;
    let job = world.work_until_over(id).await;
    assert_eq!((job.state, job.attempts), (State::Failed, 1));
    let callback = job.callback_job.unwrap().parse().unwrap();
    world.work_until_over(callback).await;
    until("its end is announced", || world.outside.announced.lock().len() == 1).await;
    {
        let calls = world.outside.calls.lock();
        assert_eq!((calls[1].target.path.as_str(), &calls[1].body[..]), ("/told", format!("{id} failed").as_bytes()));
    }
    world.jobs.retry(id).await.unwrap();
    assert_eq!(world.jobs.result(id).unwrap(), None, "what it came to before is gone");
    let job = world.work_until_over(id).await;
    assert_eq!((job.state, job.round, job.attempts), (State::Succeeded, 2, 1));
    world.work_until_over(job.callback_job.unwrap().parse().unwrap()).await;
    until("the new end is announced", || world.outside.announced.lock().len() == 2).await;
    assert!(matches!(world.jobs.retry(id).await, Err(JobError::NotNow { .. })));
    let counts = world.jobs.counts();
    assert_eq!((counts["parser"].open, counts["parser"].kept, counts["shop"].kept), (0, 1, 2));
}

#[tokio::test]
async fn jobs_are_listed_from_the_newest_and_page_by_page() {
    let world = World::new();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.submit(&n.to_string()).await);
    }
    world.work_until_over(ids[2]).await;
    let page = List { most: 3, ..List::default() };
    let (found, next) = world.jobs.list(page.clone()).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[4], ids[3], ids[2]]);
    let (found, next) = world.jobs.list(List { before: next, ..page }).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    assert_eq!(next, None);
    let one = List { state: Some(State::Succeeded), service: Some("parser".to_owned()), most: 10, ..List::default() };
    let (found, _) = world.jobs.list(one).await.unwrap();
    assert!(found.iter().any(|job| job.id == ids[2]));
    let none = List { service: Some("shop".to_owned()), most: 10, ..List::default() };
    assert!(world.jobs.list(none).await.unwrap().0.is_empty());
}
