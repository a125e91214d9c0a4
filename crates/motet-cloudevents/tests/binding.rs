//! Headers of Kafka, NATS and AMQP.

use crate::any;
use motet_cloudevents::{
    Event,
    binding::{AMQP, Binding, KAFKA, NATS},
};
use proptest::prelude::*;

fn headers(binding: Binding, event: &Event) -> Vec<(String, String)> {
    binding.headers(event).map(|(name, text)| (name.into_owned(), text.into_owned())).collect()
}

fn event(binding: Binding, headers: &[(String, String)], like: &Event) -> Event {
    let pairs = headers.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
    assert!(binding.is_event(pairs.clone()));
    binding.event(pairs, like.data().cloned()).expect("what was written")
}

#[test]
fn each_protocol_writes_as_its_binding_says() {
    let event = Event::builder("1", "/s", "t").subject("€ 1").content_type("text/plain").extension("n", 5).data("x");
    let event = event.build().expect("valid");
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    for (binding, prefix, subject) in
        [(KAFKA, "ce_", "€ 1"), (NATS, "ce-", "%E2%82%AC%201"), (AMQP, "cloudEvents:", "€ 1")]
    {
        let expected = [
            pair(&format!("{prefix}specversion"), "1.0"),
            pair(&format!("{prefix}id"), "1"),
            pair(&format!("{prefix}source"), "/s"),
            pair(&format!("{prefix}type"), "t"),
            pair(&format!("{prefix}subject"), subject),
            pair("content-type", "text/plain"),
            pair(&format!("{prefix}n"), "5"),
        ];
        assert_eq!(headers(binding, &event), expected);
    }
}

#[test]
fn amqp_understands_both_prefixes() {
    let given = ["specversion", "id", "source", "type"].map(|name| (format!("cloudEvents_{name}"), b"1.0"));
    let event = AMQP.event(given.iter().map(|(name, text)| (name.as_str(), &text[..])), None).expect("an event");
    assert_eq!((event.id(), event.data()), ("1.0", None));
}

#[test]
fn what_is_not_an_event_is_said_to_be_none() {
    let given: [(&str, &[u8]); 2] = [("ce_id", b"1"), ("other", b"x")];
    assert!(!KAFKA.is_event(given));
    assert_eq!(KAFKA.event(given, None).expect_err("no version").code().0, "MO-cloudevents-001");
    let twice: [(&str, &[u8]); 3] = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("CE_ID", b"2")];
    assert_eq!(KAFKA.event(twice, None).expect_err("twice").code().0, "MO-cloudevents-006");
    let bytes: [(&str, &[u8]); 1] = [("ce_id", b"\xff")];
    assert_eq!(KAFKA.event(bytes, None).expect_err("not UTF-8").code().0, "MO-cloudevents-101");
    let odd: [(&str, &[u8]); 2] = [("ce", b"x"), ("ceä_", b"x")];
    assert_eq!(KAFKA.event(odd, None).expect_err("no event").code().0, "MO-cloudevents-001");
}

proptest! {
    #[test]
    fn every_event_survives_every_protocol(given in any::event()) {
        for binding in [KAFKA, NATS, AMQP] {
            prop_assert_eq!(event(binding, &headers(binding, &given), &given), any::all_text(&given));
        }
    }
}
