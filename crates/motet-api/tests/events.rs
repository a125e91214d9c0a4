//! Topics, subscriptions and dead letters through the control API, with a broker that is a double.

use super::{Double, served};
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use motet_api::{
    error::{CallError, Refusal},
    port::{EventsControl, events::Letters},
    services,
    wire::events::{self, DeadLetter, DeadLetters, Events, Receipt, Seen, Start, Watched, raw},
};
use motet_cloudevents::{Event, Filter};

fn an_event(id: &str) -> Event {
    let builder = Event::builder(id, "/s", "t").content_type("application/json");
    builder.data(r#"{"n": 12345678901234567890.10}"#).build().expect("an event")
}

#[async_trait]
impl EventsControl for Double {
    async fn events(&self) -> Result<Events, Refusal> {
        Ok(Events { disk_bytes: 7, ..Events::default() })
    }
    async fn publish(&self, topic: &str, events: Vec<Event>) -> Result<Vec<Receipt>, Refusal> {
        if topic != "order.placed" {
            let (name, nearest) = (topic.to_owned(), Some("order.placed".to_owned()));
            return Err(services::Refusal::UnknownTopic { name, nearest }.into());
        }
        let receipt = |(position, event): (u64, &Event)| {
            let id = event.id().to_owned();
            Receipt { id, position: Some(position), duplicate: false, deliver_at: None }
        };
        Ok((0..).zip(&events).map(receipt).collect())
    }
    async fn watch_topic(&self, _: &str, start: Start) -> Result<BoxStream<'static, Watched>, Refusal> {
        let Start::Position(position) = start else { return Err(Refusal::NotPossible(format!("{start}"))) };
        Ok(stream::iter([Watched::Event(Seen { position, event: raw(&an_event("a")) })]).boxed())
    }
    async fn dead_letters(
        &self,
        _: &str,
        filter: Option<Filter>,
        from: u64,
        most: usize,
    ) -> Result<DeadLetters, Refusal> {
        let letter = |number| DeadLetter {
            number,
            reason: "permanent".into(),
            attempts: 1,
            status: Some(422),
            detail: "no".into(),
            published_at: events::time(0),
            buried_at: events::time(1),
            position: None,
            event: raw(&an_event("a")),
        };
        let end = from + most as u64;
        let taken = filter.is_none_or(|filter| filter.matches(&an_event("a")));
        let letters = if taken { (from..end).map(letter).collect() } else { Vec::new() };
        Ok(DeadLetters { letters, next: Some(end) })
    }
    async fn redrive(&self, _: &str, letters: Letters) -> Result<u64, Refusal> {
        Ok(match letters {
            Letters::All => 100,
            Letters::Numbers(numbers) => numbers.len() as u64,
            Letters::Where(filter) => {
                if filter.matches(&an_event("a")) {
                    7
                } else {
                    0
                }
            }
            Letters::Edited(number, event) => number + event.data().map_or(0, |data| data.len() as u64),
        })
    }
    async fn drop_dead_letters(&self, name: &str, letters: Letters) -> Result<u64, Refusal> {
        self.redrive(name, letters).await
    }
    async fn pause(&self, subscription: &str, on: bool) -> Result<(), Refusal> {
        if on { Ok(()) } else { Err(Refusal::NotPossible(subscription.to_owned())) }
    }
    async fn replay(&self, _: &str, start: Start) -> Result<u64, Refusal> {
        Ok(if start == Start::Time(1000) { 5 } else { 0 })
    }
}

#[tokio::test]
async fn events_travel_as_they_are() {
    let served = served().await;
    let client = &served.client;
    assert_eq!(client.events().await.expect("events").disk_bytes, 7);
    let published = client.publish("order.placed", &[an_event("a"), an_event("b")]).await.expect("published");
    assert_eq!(published.receipts.iter().map(|receipt| receipt.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let seen: Vec<_> = client.watch_topic("order.placed", Start::Position(3)).await.expect("seen").collect().await;
    let [Ok(Watched::Event(Seen { position: 3, event }))] = &seen[..] else { panic!("{seen:?}") };
    assert!(event.get().contains("12345678901234567890.10"), "{event}");
    let page = client.dead_letters("mail.order.placed", Some("id = 'a'"), 4, 2).await.expect("letters");
    assert_eq!((page.letters.len(), page.letters[0].number, page.next), (2, 4, Some(6)));
    let none =
        client.dead_letters("mail.order.placed", Some("id = 'b' OR id LIKE '%&%'"), 4, 2).await.expect("letters");
    assert!(none.letters.is_empty(), "{none:?}");
    assert_eq!(client.replay("mail.order.placed", Start::Time(1000)).await.expect("replayed").position, 5);
    client.pause("mail.order.placed").await.expect("paused");
    assert!(
        matches!(client.resume("mail.order.placed").await, Err(CallError::Refused(problem)) if problem.status == 409)
    );
}

#[tokio::test]
async fn an_unknown_topic_is_answered_with_the_nearest() {
    let served = served().await;
    let error = served.client.publish("order.plced", &[an_event("a")]).await.expect_err("unknown");
    let CallError::Refused(problem) = error else { panic!("a refusal") };
    assert_eq!((problem.status, problem.kind.as_str()), (404, "urn:motet:error:MO-api-201"));
    assert!(problem.detail.contains("did you mean `order.placed`?"), "{problem:?}");
}

#[tokio::test]
async fn which_dead_letters_are_meant_is_said_in_one_way() {
    let served = served().await;
    let client = &served.client;
    let letters =
        |numbers: &[u64], all, event| events::Letters { numbers: numbers.to_vec(), all, event, ..Default::default() };
    let condition = |sql: &str, from| events::Letters { condition: Some(sql.to_owned()), ..from };
    let edited = || Some(raw(&an_event("a")));
    let redriven = async |letters: events::Letters| client.redrive("s", &letters).await.map(|done| done.count);
    assert_eq!(redriven(letters(&[], true, None)).await.expect("all"), 100);
    assert_eq!(redriven(letters(&[3, 3, 4], false, None)).await.expect("two"), 2);
    assert_eq!(redriven(letters(&[3], false, edited())).await.expect("one"), 33);
    assert_eq!(redriven(condition("id = 'a'", letters(&[], false, None))).await.expect("where"), 7);
    let unclear = [
        condition("id = ", letters(&[], false, None)),
        condition("id = 'a'", letters(&[3], false, None)),
        condition("id = 'a'", letters(&[], true, None)),
        condition("id = 'a'", letters(&[], false, edited())),
        letters(&[], false, None),
        letters(&[3], true, None),
        letters(&[3, 4], false, edited()),
        letters(&[], true, edited()),
    ];
    for unclear in unclear {
        let error = redriven(unclear).await.expect_err("unclear");
        assert!(matches!(error, CallError::Refused(problem) if problem.status == 400));
    }
}
