//! The conformance suite of the events engines, over RabbitMQ.

use super::*;
use async_trait::async_trait;
use lapin::BasicProperties;
use motet_adapters::rabbitmq::SUPPORT;
use motet_broker::engine::Support;
use motet_testkit::{
    events::{Engine, Foreign, Server as Need},
    relay::Relay,
};

struct OverRabbit {
    server: Arc<Server>,
    /// A network that nobody else uses.
    relay: Option<Relay>,
}

#[async_trait]
impl Engine for OverRabbit {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    async fn open(&self, store: &Store, group: &TaskGroup) -> Arc<dyn Transport> {
        let port = self.relay.as_ref().map_or(self.server.port(), |relay| relay.address().port());
        let settings = Settings { url: self.server.url_at(port), prefix: "suite".to_owned(), replicas: None };
        Arc::new(Rabbit::connect(settings, store, group).await.expect("RabbitMQ answers"))
    }

    async fn cut(&self) {
        self.relay.as_ref().expect("a case that cuts has its own network").cut();
    }

    async fn hold(&self) {
        self.relay.as_ref().expect("a case that cuts has its own network").hold();
    }

    async fn heal(&self) {
        self.relay.as_ref().expect("a case that cuts has its own network").heal();
    }

    async fn restart(&self) {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart()).await.unwrap();
    }

    fn support(&self) -> &[Support] {
        SUPPORT
    }

    async fn publish_foreign(&self, topic: &TopicName, what: Foreign<'_>) -> bool {
        let (_connection, channel) = foreign(&self.server.url()).await;
        let exchange = format!("suite.{topic}");
        match what {
            Foreign::Event(event) => {
                let body = event.data().cloned().unwrap_or_default();
                foreign::publish(&channel, &exchange, &body, foreign::cloud_event(event)).await;
            }
            Foreign::Plain(bytes) => foreign::publish(&channel, &exchange, bytes, BasicProperties::default()).await,
        }
        true
    }
}

async fn engine(need: Need) -> Option<Arc<dyn Engine>> {
    let begun = tokio::task::spawn_blocking(move || match need {
        Need::Shared => Some(OverRabbit { server: Server::shared()?, relay: None }),
        Need::Proxied => {
            let server = Server::shared()?;
            let relay = Relay::start((std::net::Ipv4Addr::LOCALHOST, server.port()).into()).unwrap();
            Some(OverRabbit { server, relay: Some(relay) })
        }
        Need::Own => Some(OverRabbit { server: Arc::new(Server::own()?), relay: None }),
    });
    Some(Arc::new(begun.await.unwrap()?))
}

motet_testkit::event_conformance!(engine);
