//! Topics on a real NATS server with JetStream (Debian: `apt install nats-server`).

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod conformance;

use motet_adapters::nats::{Nats, SUPPORT, Settings};
use motet_broker::{TopicName, Transport};
use motet_kernel::task::TaskGroup;
use motet_store::Store;
use motet_testkit::nats::Nats as Server;
use std::sync::Arc;

/// As another program connects.
async fn foreign(url: &str) -> async_nats::Client {
    let (login, host) = url.trim_start_matches("nats://").split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    options.connect(host).await.unwrap()
}
