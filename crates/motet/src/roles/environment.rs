//! What a service finds in its environment: the addresses of its edges in the forms that ecosystems know, its store, its name.
//!
//! | variable | value |
//! |---|---|
//! | `PORT` | where to listen on 127.0.0.1; set by the supervisor for each instance |
//! | `<CALLEE>_URL` | the address of the edge |
//! | `services__<callee>__http__0` | the same, as .NET's service discovery reads it |
//! | `DATABASE_URL` and friends | the service's own store |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who speaks, for OpenTelemetry's SDKs |
//!
//! What the definition says under `env` wins over all of these but the store's.

use motet_datastore::Credentials;
use motet_kernel::name::{ServiceName, SystemName};
use motet_model::system::Service;
use std::collections::BTreeMap;

/// The environment of a service's instances, beyond the one of Motet itself.
pub(crate) fn of(
    system: &SystemName,
    service: &Service,
    edges: &BTreeMap<ServiceName, String>,
    store: Option<&Credentials>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("OTEL_SERVICE_NAME".to_owned(), service.name.to_string()),
        ("OTEL_RESOURCE_ATTRIBUTES".to_owned(), resource_attributes(system, service)),
        // Python holds its output back when nobody seems to look; then logs come late and a crash loses the last of them.
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
    ]);
    for (callee, url) in edges {
        env.insert(format!("{}_URL", callee.env_prefix()), url.clone());
        env.insert(format!("services__{callee}__http__0"), url.clone());
    }
    env.extend(service.env.clone());
    if let Some(credentials) = store {
        env.extend(credentials.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    }
    env
}

/// Attributes as OpenTelemetry's semantic conventions name them (service.namespace, and motet's own for the bounded context).
fn resource_attributes(system: &SystemName, service: &Service) -> String {
    let context = service.context.as_ref().map(|context| format!(",motet.context={context}")).unwrap_or_default();
    format!("service.namespace={system}{context}")
}
