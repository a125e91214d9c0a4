//! Events that other programs publish to the exchange, in whatever form.

use super::*;
use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
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
