//! The stream that a topic needs, held against the one that is there.
//!
//! What can be changed and is Motet's to say (how long events are kept, that the oldest go first) is changed. What cannot be changed, or
//! would be somebody else's stream, is an error that names the setting: nothing is deleted to make it fit.

use super::api::{Config, nanos};
use motet_broker::{Keep, TopicName};
use motet_kernel::quantity::show_size;
use serde_json::{Value, json};
use std::time::Duration;

/// For so long the server knows the ids of messages: longer than a publisher waits for an append.
const IDS_KNOWN: Duration = Duration::from_secs(15);
/// The server takes nothing shorter.
const AGE_LEAST: Duration = Duration::from_millis(100);

/// What a topic's stream is to be.
pub(super) struct Wanted<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) name: &'a str,
    pub(super) subject: &'a str,
    pub(super) replicas: u8,
    pub(super) keep: Keep,
}

impl Wanted<'_> {
    /// What to do when the server has not so much room.
    pub(super) fn room(&self) -> String {
        let bytes = self.keep.bytes.map(show_size).unwrap_or_default();
        format!(
            ". NATS sets aside all that a topic may `keep`, here {bytes}: keep less (`keep: {{ time: 7d, size: 1GiB }}`), or let the server have more (`max_file_store`)"
        )
    }

    /// The configuration of a new stream.
    pub(super) fn fresh(&self) -> Config {
        let mut config = Config::new();
        for (name, value) in [
            ("name", json!(self.name)),
            ("description", json!(format!("topic {} of a system that Motet runs", self.topic))),
            ("subjects", json!([self.subject])),
            ("retention", json!("limits")),
            ("storage", json!("file")),
            ("num_replicas", json!(self.replicas.max(1))),
        ] {
            config.insert(name.to_owned(), value);
        }
        for (name, value) in self.changeable(None) {
            config.insert(name.to_owned(), value);
        }
        config
    }

    /// What has to be changed in a configuration, all of it with the changes; nothing if it is right.
    ///
    /// # Errors
    /// With the setting that cannot be changed and what to do.
    pub(super) fn changed(&self, now: &Config) -> Result<Option<Config>, String> {
        self.check(now)?;
        let mut then = now.clone();
        for (name, value) in self.changeable(now.get("duplicate_window").and_then(Value::as_u64)) {
            then.insert(name.to_owned(), value);
        }
        let replicas = now.get("num_replicas").and_then(Value::as_u64).unwrap_or(1);
        // Fewer than somebody has asked the server for would be a step back.
        then.insert("num_replicas".to_owned(), json!(replicas.max(self.replicas.into())));
        Ok((then != *now).then_some(then))
    }

    fn changeable(&self, window: Option<u64>) -> [(&'static str, Value); 6] {
        let age = self.keep.time.map_or(0, |time| nanos(time.max(AGE_LEAST)));
        let window = window.unwrap_or(0).max(nanos(IDS_KNOWN));
        [
            ("max_age", json!(age)),
            ("max_bytes", self.keep.bytes.map_or(json!(-1), |bytes| json!(bytes.clamp(1, i64::MAX as u64)))),
            ("discard", json!("old")),
            ("max_msgs", json!(-1)),
            ("max_msgs_per_subject", json!(-1)),
            ("duplicate_window", json!(if age == 0 { window } else { window.min(age) })),
        ]
    }

    fn check(&self, now: &Config) -> Result<(), String> {
        let text = |name: &str| now.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_on = |name: &str| now.get(name).and_then(Value::as_bool).unwrap_or(false);
        let is_given = |name: &str| now.get(name).is_some_and(|value| !value.is_null() && value != &json!([]));
        let reason = if text("retention") != "limits" {
            format!(
                "its retention is `{}`, and events have to stay until they are old: it has to be `limits`",
                text("retention")
            )
        } else if text("storage") != "file" {
            format!("its storage is `{}`, which does not outlive its server: it has to be `file`", text("storage"))
        } else if now.get("subjects") != Some(&json!([self.subject])) {
            let subjects = now.get("subjects").map(ToString::to_string).unwrap_or_default();
            format!("its subjects are {subjects}, and it has to have `{}` and no other", self.subject)
        } else if is_on("no_ack") {
            "it acknowledges nothing (`no_ack`)".to_owned()
        } else if is_on("sealed") {
            "it is sealed".to_owned()
        } else if is_given("mirror") || is_given("sources") {
            "it is filled from other streams".to_owned()
        } else {
            return Ok(());
        };
        Err(format!(
            "stream `{}`, which topic `{}` needs, is there already with other settings: {reason}. Change or delete it (`nats stream edit`, `nats stream rm`), or give the system another name",
            self.name, self.topic
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(keep: Keep, act: impl FnOnce(&Wanted<'_>)) {
        let topic = "orders".parse().unwrap();
        act(&Wanted { topic: &topic, name: "shop_orders", subject: "shop.orders", replicas: 1, keep });
    }

    #[test]
    fn only_what_was_declared_otherwise_is_changed_and_what_others_set_stays() {
        with(Keep::default(), |wanted| {
            let mut there = wanted.fresh();
            there.insert("allow_direct".into(), json!(true));
            there.insert("num_replicas".into(), json!(3));
            assert_eq!(wanted.changed(&there), Ok(None));
            with(Keep { time: Some(Duration::from_secs(5)), bytes: Some(1 << 20) }, |wanted| {
                let then = wanted.changed(&there).unwrap().unwrap();
                assert_eq!((&then["max_age"], &then["max_bytes"]), (&json!(5_000_000_000_u64), &json!(1 << 20)));
                assert_eq!((&then["allow_direct"], &then["num_replicas"]), (&json!(true), &json!(3)));
                assert_eq!(then["duplicate_window"], then["max_age"], "the server refuses a longer one");
            });
        });
    }

    #[test]
    fn a_setting_that_loses_events_and_cannot_be_changed_is_named() {
        for (name, value) in [
            ("retention", json!("workqueue")),
            ("storage", json!("memory")),
            ("subjects", json!(["shop.>"])),
            ("no_ack", json!(true)),
            ("sealed", json!(true)),
            ("mirror", json!({"name": "x"})),
        ] {
            with(Keep::default(), |wanted| {
                let mut there = wanted.fresh();
                there.insert(name.into(), value);
                let said = wanted.changed(&there).expect_err(name);
                assert!(said.contains("shop_orders") && said.contains("nats stream edit"), "{said}");
            });
        }
    }
}
