//! `motet metrics`: what Prometheus would collect, for people and scripts that have no Prometheus.

use crate::{
    cli::{Global, Metrics},
    connect,
    exit::Exit,
    terminal,
};
use anyhow::Result;
use motet_api::exposition::Format;

pub(crate) async fn run(global: &Global, arguments: &Metrics) -> Result<Exit> {
    let format = if arguments.openmetrics { Format::OpenMetrics } else { Format::Text };
    let metrics = connect::running(global)?.metrics(format).await?;
    if global.json {
        terminal::print_json(&serde_json::json!({ "content_type": format.content_type(), "metrics": metrics }))?;
    } else {
        terminal::print(metrics.trim_end());
    }
    Ok(Exit::Done)
}
