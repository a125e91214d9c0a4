//! Events that other programs publish to the exchange, in whatever form.

use super::*;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

pub(super) async fn publish(channel: &Channel, exchange: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange.into(), "any.key".into(), options, body, properties).await.unwrap();
    let confirmed = sent.await.unwrap();
    assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "a queue is bound to {exchange}");
}

fn headers(pairs: &[(&str, &str)]) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    BasicProperties::default().with_headers(table)
}

/// As the SDKs for AMQP write an event.
pub(super) fn cloud_event(event: &Event) -> BasicProperties {
    let pairs: Vec<(String, String)> =
        event.attributes().map(|(name, value)| (format!("cloudEvents:{name}"), value.to_string())).collect();
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .filter(|(name, _)| name != "cloudEvents:datacontenttype")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let properties = headers(&pairs);
    match event.content_type() {
        Some(given) => properties.with_content_type(given.into()),
        None => properties,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_message_of_another_program_becomes_an_event_with_its_data_as_it_is() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "plain").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    let properties = BasicProperties::default().with_content_type("text/csv".into());
    publish(&channel, "plain.orders", b"1;2;3", properties).await;
    publish(&channel, "plain.orders", &[0xff, 0], BasicProperties::default().with_content_type("no type".into())).await;
    let found = rig.all(&topic, 2).await;
    let event = &found[0].entry.event;
    assert_eq!((event.id(), event.source(), event.ty()), ("plain.orders/0", "plain.orders", "motet.message"));
    assert_eq!((event.subject(), event.content_type()), (Some("any.key"), Some("text/csv")));
    assert_eq!(event.data().unwrap().as_ref(), b"1;2;3");
    assert_eq!(found[0].entry.key, None);
    assert_eq!(found[1].entry.event.data().unwrap().as_ref(), [0xff, 0]);
    assert_eq!(found[1].entry.event.id(), "plain.orders/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_of_other_programs_are_read_in_both_modes_and_with_either_prefix() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "cloudy").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    let event = |id: &str| {
        let made = Event::builder(id, "/shop", "order.placed").content_type("application/json");
        made.extension("partitionkey", "o-7").data(r#"{"n":1}"#).build().unwrap()
    };
    let first = event("1");
    publish(&channel, "cloudy.orders", first.data().unwrap(), cloud_event(&first)).await;
    let underscored = headers(&[
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_id", "2"),
        ("cloudEvents_source", "/shop"),
        ("cloudEvents_type", "order.placed"),
        ("cloudEvents_partitionkey", "o-7"),
        ("x-other", "header"),
    ]);
    let underscored = underscored.with_content_type("application/json".into());
    publish(&channel, "cloudy.orders", br#"{"n":1}"#, underscored).await;
    let mut body = Vec::new();
    motet_cloudevents::json::write(&event("3"), &mut body);
    let structured = BasicProperties::default().with_content_type("application/cloudevents+json; charset=utf-8".into());
    publish(&channel, "cloudy.orders", &body, structured).await;
    let broken =
        headers(&[("cloudEvents:specversion", "1.0"), ("cloudEvents:id", ""), ("cloudEvents:source", "/shop")]);
    publish(&channel, "cloudy.orders", b"data", broken).await;
    let found = rig.all(&topic, 4).await;
    for (stored, id) in found.iter().zip(["1", "2", "3"]) {
        assert_eq!(stored.entry.event, event(id));
        assert_eq!(stored.entry.key, key::of(&event(id), None));
        assert!(stored.entry.published_at > Time(1_700_000_000_000));
    }
    let last = &found[3].entry.event;
    assert_eq!((last.ty(), last.data().unwrap().as_ref()), ("motet.message", b"data".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_read_what_motet_publishes_by_a_queue_of_their_own() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "spied").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    let spy = spy(&channel, "spied.orders").await;
    rig.append(&topic, &["1"]).await.unwrap();
    let message = next_in(&channel, &spy).await;
    let said = message.properties.headers().clone().unwrap();
    let header = |name: &str| match said.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(header("cloudEvents:specversion"), "1.0");
    assert_eq!((header("cloudEvents:id"), header("cloudEvents:source")), ("1".to_owned(), "/test".to_owned()));
    assert_eq!(message.data, b"{}");
    assert_eq!(*message.properties.delivery_mode(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_motets_that_comes_a_second_time_is_in_the_log_once() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "twice").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    let spy = spy(&channel, "twice.orders").await;
    rig.append(&topic, &["1"]).await.unwrap();
    let copy = next_in(&channel, &spy).await;
    publish(&channel, "twice.orders", &copy.data, copy.properties.clone()).await;
    let rig = rig.again().await;
    rig.topic("orders").await;
    publish(&channel, "twice.orders", &copy.data, copy.properties).await;
    rig.append(&topic, &["2"]).await.unwrap();
    assert_eq!(rig.ids(&topic, 2).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_that_is_published_twice_on_purpose_is_two_events() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "purpose").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    for _ in 0..2 {
        publish(&channel, "purpose.orders", b"tick", BasicProperties::default().with_message_id("7".into())).await;
    }
    assert_eq!(rig.ids(&topic, 2).await, ["purpose.orders/0", "purpose.orders/1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_to_be_an_event_is_put_aside_and_blocks_nobody() {
    let Some(server) = server() else { return };
    let rig = Rig::open(server.url(), "large").await;
    let topic = rig.topic("orders").await;
    let (_connection, channel) = foreign(&server.url()).await;
    publish(&channel, "large.orders", b"before", BasicProperties::default()).await;
    publish(&channel, "large.orders", &vec![7; (16 << 20) + 1], BasicProperties::default()).await;
    publish(&channel, "large.orders", b"behind", BasicProperties::default()).await;
    let found = rig.all(&topic, 2).await;
    let data: Vec<_> = found.iter().map(|stored| stored.entry.event.data().unwrap().as_ref()).collect();
    assert_eq!(data, [b"before", b"behind"]);
    let aside = next_in(&channel, "large:rejected").await;
    assert_eq!(aside.data.len(), (16 << 20) + 1);
    assert_eq!(rig.append(&topic, &["2"]).await.unwrap(), [Position(2)]);
}

/// A queue of another program, bound to the exchange.
async fn spy(channel: &Channel, exchange: &str) -> String {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
    let name = queue.name().to_string();
    let bound = channel.queue_bind(
        queue.name().clone(),
        exchange.into(),
        "".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    name
}

async fn next_in(channel: &Channel, queue: &str) -> Delivery {
    let until = Instant::now() + LIMIT;
    loop {
        let found = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap();
        if let Some(message) = found {
            return message.delivery;
        }
        assert!(Instant::now() < until, "nothing comes into {queue}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
