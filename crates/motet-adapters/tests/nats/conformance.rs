//! The conformance suite of the events engines, over NATS JetStream.

use super::*;
use async_trait::async_trait;
use motet_broker::engine::Support;
use motet_cloudevents::binding::NATS;
use motet_testkit::{
    events::{Engine, Foreign, Server as Need},
    relay::Relay,
};

struct OverNats {
    server: Arc<Server>,
    /// The network between, where it is to break.
    relay: Option<Relay>,
}

impl OverNats {
    fn network(&self) -> &Relay {
        self.relay.as_ref().expect("a case that breaks connections has its own")
    }
}

#[async_trait]
impl Engine for OverNats {
    fn name(&self) -> &'static str {
        "nats"
    }

    async fn open(&self, store: &Store, group: &TaskGroup) -> Arc<dyn Transport> {
        let url = self.relay.as_ref().map_or(self.server.url(), |relay| Server::url_at(relay.address()));
        let settings = Settings::new(&url, "suite").unwrap();
        Arc::new(Nats::connect(settings, store, group).await.expect("NATS answers"))
    }

    async fn cut(&self) {
        self.network().cut();
    }

    async fn hold(&self) {
        self.network().hold();
    }

    async fn heal(&self) {
        self.network().heal();
    }

    async fn restart(&self) {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart()).await.unwrap();
    }

    fn support(&self) -> &[Support] {
        SUPPORT
    }

    async fn publish_foreign(&self, topic: &TopicName, what: Foreign<'_>) -> bool {
        let client = foreign(&self.server.url()).await;
        let subject = format!("suite.{topic}");
        // JetStream answers a request when it has the message: so nothing that is published later stands before it.
        match what {
            Foreign::Event(event) => {
                let mut headers = async_nats::HeaderMap::new();
                NATS.headers(event).for_each(|(name, value)| headers.insert(name.as_ref(), value.as_ref()));
                let data = event.data().cloned().unwrap_or_default();
                client.request_with_headers(subject, headers, data).await.unwrap();
            }
            Foreign::Plain(bytes) => drop(client.request(subject, bytes.to_vec().into()).await.unwrap()),
        }
        true
    }
}

async fn engine(need: Need) -> Option<Arc<dyn Engine>> {
    let begun = tokio::task::spawn_blocking(move || {
        let server = if need == Need::Own { Arc::new(Server::own()?) } else { Server::shared()? };
        let relay = (need != Need::Shared).then(|| Relay::start(server.address()).unwrap());
        Some(OverNats { server, relay })
    });
    Some(Arc::new(begun.await.unwrap()?))
}

motet_testkit::event_conformance!(engine);
