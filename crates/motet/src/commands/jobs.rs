//! `motet jobs list|show|result|cancel|retry|run`: requests that nobody waits for, and what came of them.

use super::publish;
use crate::{
    cli::{Global, Jobs, JobsCommand, RunJob},
    connect,
    exit::{Exit, Failure},
    terminal::{self, ink, live::ago, table::Table},
};
use anyhow::Result;
use motet_api::{
    client::Client,
    port::jobs::JobQuery,
    wire::jobs::{Job, State},
};
use motet_kernel::quantity::{parse_duration, show_size};
use std::{io::Write as _, time::Duration};

/// So many characters of an error are shown in a table.
const SHOWN: usize = 60;
/// One question waits no longer than this for the end of a job; then it is asked again.
const LOOK: Duration = Duration::from_secs(30);

pub(crate) async fn run(global: &Global, arguments: &Jobs) -> Result<Exit> {
    let client = connect::running(global)?;
    match &arguments.command {
        JobsCommand::List { service, in_state, max } => list(global, &client, service.clone(), *in_state, *max).await,
        JobsCommand::Show { job } => {
            let job = client.job(job, Duration::ZERO).await.map_err(Failure::mistyped)?;
            print(global, &job)
        }
        JobsCommand::Result { job, wait } => result(&client, job, wait.as_deref()).await,
        JobsCommand::Cancel { job } => {
            let job = client.cancel_job(job).await.map_err(Failure::mistyped)?;
            print_short(global, &job)
        }
        JobsCommand::Retry { job } => {
            let job = client.retry_job(job).await.map_err(Failure::mistyped)?;
            print_short(global, &job)
        }
        JobsCommand::Run(wanted) => submit(global, &client, wanted).await,
    }
}

async fn submit(global: &Global, client: &Client, wanted: &RunJob) -> Result<Exit> {
    let body = wanted.data.as_deref().map(publish::read).transpose()?.unwrap_or_default();
    let mut headers = Vec::new();
    for header in &wanted.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::new(Exit::Usage, format!("`{header}` is not a header: write `Name: value`.")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if wanted.data.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), publish::media_type(&body).to_owned()));
    }
    if let Some(delay) = &wanted.delay {
        headers.push(("x-motet-delay".to_owned(), delay.clone()));
    }
    let job = client.run_job(&wanted.service, &wanted.path, &headers, body).await.map_err(Failure::mistyped)?;
    match &wanted.wait {
        Some(wait) => result(client, &job.id, Some(wait)).await,
        None => print_short(global, &job),
    }
}

/// The answer as it was, on standard output. A job that is not over in time ends with another exit code than one that failed.
async fn result(client: &Client, id: &str, wait: Option<&str>) -> Result<Exit> {
    let wait = wait.map(parse_duration).transpose();
    let mut wait = wait.map_err(|error| Failure::new(Exit::Usage, format!("--wait: {error}.")))?.unwrap_or_default();
    loop {
        let look = wait.min(LOOK);
        let result = client.job_result(id, look).await.map_err(Failure::mistyped)?;
        wait = wait.saturating_sub(look);
        let state: State = result.state.parse().map_err(|error: String| Failure::new(Exit::Failed, error))?;
        if state.is_over() {
            std::io::stdout().lock().write_all(&result.body)?;
            if state == State::Succeeded {
                return Ok(Exit::Done);
            }
            let what = format!("Job {id} has {}: the answer had status {}.", state.as_str(), result.status);
            return Err(Failure::new(Exit::Failed, what).into());
        }
        if wait.is_zero() {
            let what = format!("Job {id} is {} and has no result yet: `--wait 5m` waits for it.", state.as_str());
            return Err(Failure::new(Exit::TimedOut, what).into());
        }
    }
}

async fn list(
    global: &Global,
    client: &Client,
    service: Option<String>,
    state: Option<State>,
    max: usize,
) -> Result<Exit> {
    let mut jobs = Vec::new();
    let mut query = JobQuery { service, state, before: None, most: 0 };
    while jobs.len() < max {
        query.most = (max - jobs.len()).min(1000);
        let page = client.jobs(&query).await.map_err(Failure::mistyped)?;
        jobs.extend(page.jobs);
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    if global.json {
        terminal::print_json(&jobs)?;
    } else if jobs.is_empty() {
        terminal::note("There are no jobs.");
    } else {
        let mut table = Table::new(&["JOB", "SERVICE", "PATH", "STATE", "ATTEMPTS", "ASKED FOR", "LAST ERROR"]);
        jobs.iter().for_each(|job| table.row(cells(job)));
        table.print();
    }
    Ok(Exit::Done)
}

fn cells(job: &Job) -> Vec<String> {
    let mut error = job.last_error.as_ref().map(|_| why(job)).unwrap_or_default();
    if error.chars().count() > SHOWN {
        error = error.chars().take(SHOWN).chain(['…']).collect();
    }
    vec![
        job.id.clone(),
        job.service.clone(),
        job.path.replace(char::is_control, " "),
        job.state.as_str().to_owned(),
        format!("{}/{}", job.attempts, job.attempts_max),
        ago(&job.created_at),
        error.replace(char::is_control, " "),
    ]
}

fn why(job: &Job) -> String {
    let Some(error) = &job.last_error else { return String::new() };
    let status = error.status.map(|status| format!("{status}: ")).unwrap_or_default();
    format!("{status}{}", error.detail)
}

fn print_short(global: &Global, job: &Job) -> Result<Exit> {
    if global.json {
        terminal::print_json(job)?;
    } else {
        terminal::print(format_args!("{}: {}", job.id, job.state.as_str()));
    }
    Ok(Exit::Done)
}

fn print(global: &Global, job: &Job) -> Result<Exit> {
    if global.json {
        terminal::print_json(job)?;
        return Ok(Exit::Done);
    }
    let quiet = ink::quiet();
    let progress = job.progress.as_ref().map(ToString::to_string);
    let result = job.result.as_ref().map(|result| {
        let size = result.bytes.map_or_else(|| "larger than is kept".to_owned(), show_size);
        let kind = result.content_type.as_deref().map(|kind| format!(", {kind}")).unwrap_or_default();
        format!("status {}{kind}, {size}", result.status)
    });
    let callback = job.callback.as_ref().map(|callback| {
        let told = callback.job.as_deref().map(|job| format!(" ({job})")).unwrap_or_default();
        format!("{}{}{told}", callback.service, callback.path)
    });
    for (name, text) in [
        ("job        ", Some(job.id.clone())),
        ("request    ", Some(format!("POST {}{}", job.service, job.path))),
        ("asked by   ", Some(job.caller.trim_start_matches('/').to_owned())),
        ("state      ", Some(job.state.as_str().to_owned())),
        ("attempts   ", Some(format!("{} of {}", job.attempts, job.attempts_max))),
        ("asked for  ", Some(job.created_at.clone())),
        ("not before ", job.due_at.clone()),
        ("begun      ", job.begun_at.clone()),
        ("leased to  ", job.leased_until.clone()),
        ("over       ", job.finished_at.clone()),
        ("progress   ", progress),
        ("last error ", job.last_error.as_ref().map(|_| why(job))),
        ("result     ", result),
        ("key        ", job.key.clone()),
        ("callback   ", callback),
        ("event      ", job.event.clone()),
        ("callback of", job.callback_of.clone()),
    ] {
        if let Some(text) = text {
            terminal::print(format_args!("{} {}", quiet.apply_to(name), text.replace(char::is_control, " ")));
        }
    }
    Ok(Exit::Done)
}
