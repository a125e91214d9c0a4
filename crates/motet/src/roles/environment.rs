//! What a service finds in its environment: the addresses of its edges in the forms that ecosystems know, its store, its name.
//!
//! | variable | value |
//! |---|---|
//! | `PORT` | where to listen on 127.0.0.1; set by the supervisor for each instance |
//! | `<CALLEE>_URL` | the address of the edge |
//! | `services__<callee>__http__0` | the same, as .NET's service discovery reads it |
//! | `DATABASE_URL` and friends | the service's own store |
//! | `MOTET_URL` | where a service that publishes or subscribes finds events |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who speaks, for OpenTelemetry's SDKs |
//!
//! What the definition says under `env` wins over all of these but the store's.

use motet_datastore::Credentials;
use motet_kernel::name::{ServiceName, SystemName};
use motet_model::system::Service;
use std::collections::BTreeMap;

/// What a service can reach.
pub(crate) struct Reach<'a> {
    /// The address of each edge.
    pub(crate) edges: BTreeMap<ServiceName, String>,
    /// What opens its own store.
    pub(crate) store: Option<&'a Credentials>,
    /// Its own address for events.
    pub(crate) events: Option<&'a String>,
}

/// The environment of a service's instances, beyond the one of Motet itself.
pub(crate) fn of(system: &SystemName, service: &Service, reach: &Reach<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("OTEL_SERVICE_NAME".to_owned(), service.name.to_string()),
        ("OTEL_RESOURCE_ATTRIBUTES".to_owned(), resource_attributes(system, service)),
        // Python holds its output back when nobody seems to look; then logs come late and a crash loses the last of them.
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
    ]);
    if let Some(url) = reach.events {
        env.insert("MOTET_URL".to_owned(), url.clone());
    }
    for (callee, url) in &reach.edges {
        env.insert(format!("{}_URL", callee.env_prefix()), url.clone());
        env.insert(format!("services__{callee}__http__0"), url.clone());
    }
    env.extend(service.env.clone());
    if let Some(credentials) = reach.store {
        env.extend(credentials.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    }
    env
}

/// Attributes as OpenTelemetry's semantic conventions name them (service.namespace, and motet's own for the bounded context).
fn resource_attributes(system: &SystemName, service: &Service) -> String {
    let context = service.context.as_ref().map(|context| format!(",motet.context={context}")).unwrap_or_default();
    format!("service.namespace={system}{context}")
}
