//! `motet call embedder /embed -d '{…}'`: a call over the rules of an edge, as the service's callers make it.

use crate::{
    cli::{Call, Global},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use motet_api::wire::System;
use motet_kernel::endpoint::EdgeName;
use std::io::{Read as _, Write as _};

pub(crate) async fn run(global: &Global, arguments: &Call) -> Result<Exit> {
    let system = connect::running(global)?.system().await?;
    let base = address(&system, &arguments.target)?;
    let path = &arguments.path;
    let path = if path.starts_with('/') { path.clone() } else { format!("/{path}") };
    let body = arguments.data.as_deref().map(body).transpose()?;
    let method = arguments.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let method = reqwest::Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Failure::new(Exit::Usage, format!("`{method}` is not a method.")))?;
    let mut request = reqwest::Client::new().request(method, format!("{base}{path}"));
    let mut typed = false;
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{header}` is not a header of the form `Name: value`."))
        })?;
        typed |= name.trim().eq_ignore_ascii_case("content-type");
        request = request.header(name.trim(), value.trim());
    }
    if let Some(body) = body {
        if !typed {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            request =
                request.header("content-type", if json { "application/json" } else { "application/octet-stream" });
        }
        request = request.body(body);
    }
    let answer = request.send().await.with_context(|| format!("{} does not answer", arguments.target))?;
    show(answer, arguments.include).await
}

/// Streams the answer as it comes; the exit code says whether it was a success.
async fn show(answer: reqwest::Response, include: bool) -> Result<Exit> {
    let status = answer.status();
    if include || !status.is_success() {
        terminal::note(format_args!("{:?} {status}", answer.version()));
    }
    if include {
        for (name, value) in answer.headers() {
            terminal::note(format_args!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        terminal::note("");
    }
    let mut chunks = answer.bytes_stream();
    let mut ended_line = true;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("the answer broke off")?;
        ended_line = chunk.last().is_none_or(|byte| *byte == b'\n');
        let mut out = std::io::stdout();
        if out.write_all(&chunk).and_then(|()| out.flush()).is_err() {
            return Ok(Exit::Done);
        }
    }
    if !ended_line && terminal::is_watched() {
        terminal::print("");
    }
    Ok(if status.is_success() { Exit::Done } else { Exit::Failed })
}

/// The address of the edge, or the one that `motet` itself has to the service.
fn address(system: &System, target: &str) -> Result<String> {
    if let Ok(edge) = target.parse::<EdgeName>() {
        let found =
            system.edges.iter().find(|it| it.caller == edge.caller.as_str() && it.callee == edge.callee.as_str());
        return found.map(|edge| edge.url.clone()).ok_or_else(|| {
            let all: Vec<_> = system.edges.iter().map(|edge| format!("{}->{}", edge.caller, edge.callee)).collect();
            Failure::new(Exit::Usage, format!("There is no edge {edge}. There are: {}.", all.join(", "))).into()
        });
    }
    super::wait::known(system, &[target.to_owned()])?;
    let service = system.services.iter().find(|service| service.name == target);
    service.and_then(|service| service.url.clone()).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{target} does not serve requests: it runs to completion.")).into()
    })
}

fn body(data: &str) -> Result<Vec<u8>> {
    match data.strip_prefix('@') {
        None => Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body)?;
            Ok(body)
        }
        Some(file) => std::fs::read(file).with_context(|| format!("{file} cannot be read")),
    }
}
