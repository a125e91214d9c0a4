//! The conformance suite of the events engines, over Kafka: with topics of one partition, and of several.

use super::{client, own, proxied, settings, shared, with};
use async_trait::async_trait;
use motet_adapters::kafka::{Kafka, SUPPORT, Settings};
use motet_broker::{TopicName, Transport, engine::Support};
use motet_kernel::task::TaskGroup;
use motet_store::Store;
use motet_testkit::{
    events::{Engine, Foreign, Server},
    kafka::Kafka as Fixture,
};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{sync::Arc, time::Duration};

struct Cluster(Arc<Fixture>, u16);

#[async_trait]
impl Engine for Cluster {
    fn name(&self) -> &'static str {
        "kafka"
    }

    async fn open(&self, store: &Store, group: &TaskGroup) -> Arc<dyn Transport> {
        let settings = Settings { partitions: self.1, ..settings(&self.0) };
        Arc::new(Kafka::connect(settings, store, group).await.unwrap())
    }

    async fn cut(&self) {
        self.0.relay().cut();
    }

    async fn hold(&self) {
        self.0.relay().hold();
    }

    async fn heal(&self) {
        self.0.relay().heal();
    }

    fn support(&self) -> &[Support] {
        SUPPORT
    }

    async fn restart(&self) {
        let restarted = |fixture: &Fixture| {
            fixture.kill();
            fixture.resume()
        };
        with(&self.0, restarted).await.unwrap();
    }

    async fn publish_foreign(&self, topic: &TopicName, what: Foreign<'_>) -> bool {
        let name = format!("suite.{topic}");
        let (headers, data) = match what {
            Foreign::Plain(data) => (OwnedHeaders::new(), data.to_vec()),
            Foreign::Event(event) => {
                let mut headers = OwnedHeaders::new();
                for (name, value) in event.attributes() {
                    let name = match name {
                        "datacontenttype" => "content-type".to_owned(),
                        name => format!("ce_{name}"),
                    };
                    headers = headers.insert(Header { key: &name, value: Some(&value.to_string()) });
                }
                (headers, event.data().map(|data| data.to_vec()).unwrap_or_default())
            }
        };
        let send = move |fixture: &Fixture| {
            let producer: BaseProducer = client(fixture).create().unwrap();
            producer
                .send(BaseRecord::<(), [u8]>::to(&name).payload(&data).headers(headers))
                .map_err(|(e, _)| e)
                .unwrap();
            producer.flush(Duration::from_secs(20)).unwrap();
        };
        with(&self.0, send).await;
        true
    }
}

async fn engine(server: Server, partitions: u16) -> Option<Arc<dyn Engine>> {
    let fixture = match server {
        Server::Shared => shared().await,
        Server::Proxied => proxied().await,
        Server::Own => own().await,
    };
    Some(Arc::new(Cluster(fixture?, partitions)))
}

/// Topics as Motet makes them.
mod one_partition {
    async fn engine(server: super::Server) -> Option<super::Arc<dyn super::Engine>> {
        super::engine(server, 1).await
    }

    motet_testkit::event_conformance!(engine);
}

/// Topics whose events Motet has to count.
mod several_partitions {
    async fn engine(server: super::Server) -> Option<super::Arc<dyn super::Engine>> {
        super::engine(server, 3).await
    }

    motet_testkit::event_conformance!(engine);
}
