//! The OpenAPI document of the control API, made from the handlers so that it cannot say anything else than they do.

use crate::{server, wire};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Motet control API",
        version = "1",
        description = "What the commands of `motet` speak with the process that runs a system. Errors are problem details (RFC 9457). \
                       On the socket no token is needed; on loopback send `Authorization: Bearer …` with the token from the system's `control.json`; `/metrics` takes the token from `metrics.token` too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        server::system,
        server::system_changes,
        server::logs,
        server::restart,
        server::scale,
        server::apply,
        server::faults,
        server::add_faults,
        server::remove_faults,
        server::describe_events,
        server::publish_events,
        server::watch_topic,
        server::dead_letters,
        server::redrive,
        server::drop_dead_letters,
        server::pause,
        server::resume,
        server::replay,
        server::list_jobs,
        server::run_job,
        server::job,
        server::job_result,
        server::cancel_job,
        server::retry_job,
        server::metrics,
        server::down,
        server::openapi
    ),
    components(schemas(wire::LogEvent, wire::Problem))
)]
struct Document;

/// The document as a value.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as it is kept in the repository: JSON with two spaces and a line end at the end.
pub fn openapi_json() -> String {
    let mut text = openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
