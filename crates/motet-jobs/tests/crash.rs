//! Killed at each step: what was promised is kept, from the files alone.

use crate::world::{Does, World, order, until};
use motet_jobs::{Answer, Order, State, Target, Verdict};
use std::{sync::atomic::Ordering::SeqCst, time::Duration};

fn told() -> Order {
    let callback = Some(Target { service: "shop".to_owned(), path: "/told".to_owned() });
    Order { callback, event: Some("job.done".to_owned()), idempotency_key: Some("k".to_owned()), ..order("kept") }
}

/// Goes on after the crash, and looks whether everything came as it should.
async fn goes_on(world: World, id: motet_jobs::JobId, calls_max: usize) {
    let job = world.work_until_over(id).await;
    assert_eq!(job.state, State::Succeeded, "{job:?}");
    assert_eq!(world.jobs.result(id).unwrap().as_deref(), Some(&b"kept"[..]));
    let again = world.jobs.submit(told()).await.unwrap();
    assert!(again.is_known && again.job.id == id, "the key is known");
    let callback = job.callback_job.unwrap().parse().unwrap();
    assert_eq!(world.work_until_over(callback).await.state, State::Succeeded);
    until("its end is announced", || world.outside.announced.lock().iter().any(|(_, announced)| *announced == id))
        .await;
    let calls = world.outside.calls.lock().iter().filter(|call| call.target.path == "/parse").count();
    assert!(calls <= calls_max, "{calls} requests");
    let counts = world.jobs.counts();
    assert_eq!((counts["parser"].open, counts["parser"].kept), (0, 1));
    assert_eq!((counts["shop"].open, counts["shop"].kept), (0, 1));
}

#[tokio::test]
async fn killed_before_its_ticket_is_in_the_queue() {
    let world = World::new();
    world.outside.away.store(true, SeqCst);
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    assert!(world.outside.tickets.lock().is_empty());
    goes_on(world.crash(), id, 1).await;
}

#[tokio::test]
async fn killed_after_its_ticket_is_in_the_queue_and_before_that_is_known() {
    let world = World::new();
    world.outside.away.store(true, SeqCst);
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    // As if the queue had taken it, and the crash came before it was crossed out: it is put again.
    let ticket = motet_jobs::Ticket { job: id, round: 1, key: None, not_before: None };
    world.outside.tickets.lock().push_back(ticket);
    goes_on(world.crash(), id, 1).await;
}

#[tokio::test]
async fn killed_while_the_request_is_with_the_service() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Hangs);
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    let ticket = world.ticket().await;
    let until_it_runs = until("it runs", || !world.outside.calls.lock().is_empty());
    tokio::select! {
        verdict = world.deliver(&ticket) => panic!("{verdict:?}"),
        () = until_it_runs => {}
    }
    world.outside.tickets.lock().push_back(ticket);
    goes_on(world.crash(), id, 2).await;
}

#[tokio::test]
async fn killed_between_two_attempts() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Answers(503));
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    let ticket = world.ticket().await;
    assert!(matches!(world.deliver(&ticket).await, Verdict::Again(_)));
    world.outside.tickets.lock().push_back(ticket);
    goes_on(world.crash(), id, 2).await;
}

#[tokio::test]
async fn killed_while_it_is_leased_and_completed_after_that() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Answers(202));
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    let ticket = world.ticket().await;
    assert_eq!(world.deliver(&ticket).await, Verdict::Leased);
    world.outside.tickets.lock().push_back(ticket.clone());
    let world = world.crash();
    assert!(matches!(world.deliver(&ticket).await, Verdict::Again(_)), "the handler still has it");
    world.jobs.progress(id, true.into()).await.unwrap();
    let answer = Answer { status: 200, headers: Vec::new(), body: Some("kept".into()), retry_after_ms: None };
    world.jobs.complete(id, answer).await.unwrap();
    goes_on(world, id, 1).await;
}

#[tokio::test]
async fn killed_after_its_end_and_before_anybody_was_told() {
    let world = World::new();
    let id = world.jobs.submit(told()).await.unwrap().job.id;
    let ticket = world.ticket().await;
    world.outside.away.store(true, SeqCst);
    assert_eq!(world.deliver(&ticket).await, Verdict::Done);
    assert!(world.outside.announced.lock().is_empty());
    // The queue has not heard that it is done: it brings the ticket again.
    world.outside.tickets.lock().push_back(ticket);
    goes_on(world.crash(), id, 1).await;
}

#[tokio::test]
async fn killed_after_it_was_cancelled_it_stays_so() {
    let world = World::new();
    world.outside.away.store(true, SeqCst);
    let id = world.submit("").await;
    world.jobs.cancel(id).await.unwrap();
    let world = world.crash();
    let other = world.submit("other").await;
    world.work_until_over(other).await;
    assert_eq!(world.state(id), State::Cancelled);
    assert_eq!(world.outside.calls.lock().len(), 1);
}

#[tokio::test]
async fn one_attempt_is_sent_at_most_once_even_then() {
    let world = World::new();
    world.outside.script.lock().push_back(Does::Hangs);
    let id = world.jobs.submit(Order { attempts: Some(1), ..order("x") }).await.unwrap().job.id;
    let ticket = world.ticket().await;
    let _ = tokio::time::timeout(Duration::from_millis(200), world.deliver(&ticket)).await;
    assert_eq!(world.outside.calls.lock().len(), 1);
    world.outside.tickets.lock().push_back(ticket);
    let world = world.crash();
    let job = world.work_until_over(id).await;
    assert_eq!(job.state, State::Failed);
    assert!(job.failure.unwrap().detail.contains("Motet ended"));
    assert_eq!(world.outside.calls.lock().len(), 1);
}
