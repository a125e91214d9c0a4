//! `motet dead-letters list|show|redrive|drop`: what was given up, why, and what becomes of it.

use super::publish;
use crate::{
    cli::{DeadLetters, DeadLettersCommand, Global, Letters},
    connect,
    exit::{Exit, Failure},
    terminal::{self, ink, live::ago, table::Table},
};
use anyhow::{Context as _, Result};
use motet_api::{
    client::Client,
    wire::events::{self as wire, DeadLetter, raw},
};
use motet_cloudevents::{http::Limits, json};
use serde_json::{Value, json as value};
use std::borrow::Cow;

/// So many characters of an answer are shown in a table.
const SHOWN: usize = 60;

pub(crate) async fn run(global: &Global, arguments: &DeadLetters) -> Result<Exit> {
    let client = connect::running(global)?;
    match &arguments.command {
        DeadLettersCommand::List { subscription, from, max, condition } => {
            list(global, &client, subscription.as_deref(), condition.as_deref(), (*from, *max)).await
        }
        DeadLettersCommand::Show { subscription, number } => {
            let letter = one(&client, subscription, *number).await?;
            if global.json {
                terminal::print_json(&letter)?
            } else {
                show(&letter)?
            }
            Ok(Exit::Done)
        }
        DeadLettersCommand::Redrive { which, data } => {
            let event = match (data, &which.numbers[..]) {
                (None, _) => None,
                (Some(data), [number]) => Some(edited(&one(&client, &which.subscription, *number).await?, data)?),
                _ => return Err(Failure::new(Exit::Usage, "--data is for one dead letter: give one number.").into()),
            };
            let settled = client.redrive(&which.subscription, &wanted(which, event)).await;
            settle(global, which, settled.map_err(Failure::mistyped)?.count, "redriven")
        }
        DeadLettersCommand::Drop(which) => {
            let settled = client.drop_dead_letters(&which.subscription, &wanted(which, None)).await;
            settle(global, which, settled.map_err(Failure::mistyped)?.count, "dropped")
        }
    }
}

fn wanted(which: &Letters, event: Option<DeadLetter>) -> wire::Letters {
    let event = event.map(|letter| letter.event);
    wire::Letters { numbers: which.numbers.clone(), all: which.all, condition: which.condition.clone(), event }
}

/// The same letter with other data.
fn edited(letter: &DeadLetter, data: &str) -> Result<DeadLetter> {
    let limits = Limits { event_bytes: usize::MAX, batch_events: 1 };
    let event = json::read(&letter.event.get().to_owned().into(), &limits)?;
    let data = publish::read(data)?;
    let event = event.edit().content_type(publish::media_type(&data)).data(data).build()?;
    Ok(DeadLetter { event: raw(&event), ..letter.clone() })
}

async fn list(
    global: &Global,
    client: &Client,
    one: Option<&str>,
    condition: Option<&str>,
    (from, max): (u64, usize),
) -> Result<Exit> {
    let names = match one {
        Some(name) => vec![name.to_owned()],
        None => client.events().await?.subscriptions.into_iter().map(|it| it.name).collect(),
    };
    let mut table = Table::new(&["SUBSCRIPTION", "NUMBER", "GIVEN UP", "ATTEMPTS", "REASON", "EVENT"]);
    let (mut shown, mut rows) = (0, Vec::new());
    for name in names {
        let (mut next, mut left) = (Some(from), max);
        while let Some(from) = next.filter(|_| left > 0) {
            let page = client.dead_letters(&name, condition, from, left.min(1000)).await.map_err(Failure::mistyped)?;
            next = page.next;
            left = left.saturating_sub(page.letters.len());
            for letter in page.letters {
                shown += 1;
                if global.json {
                    let mut row = serde_json::to_value(&letter)?;
                    row["subscription"] = value!(name);
                    rows.push(row);
                } else {
                    table.row(cells(&name, &letter)?);
                }
            }
        }
    }
    if global.json {
        terminal::print_json(&rows)?;
    } else if shown == 0 {
        terminal::note("There are no dead letters.");
    } else {
        table.print();
    }
    Ok(Exit::Done)
}

fn cells(subscription: &str, letter: &DeadLetter) -> Result<Vec<String>> {
    let event: Value = serde_json::from_str(letter.event.get())?;
    let mut why = why(letter);
    if why.chars().count() > SHOWN {
        why = why.chars().take(SHOWN).chain(['…']).collect();
    }
    Ok(vec![
        subscription.to_owned(),
        letter.number.to_string(),
        ago(&letter.buried_at),
        letter.attempts.to_string(),
        why.replace(char::is_control, " "),
        event["id"].as_str().unwrap_or_default().to_owned(),
    ])
}

/// `permanent, 422: no such order`.
fn why(letter: &DeadLetter) -> String {
    let status = letter.status.map(|status| format!(", {status}")).unwrap_or_default();
    let detail = if letter.detail.is_empty() { String::new() } else { format!(": {}", said(&letter.detail)) };
    format!("{}{status}{detail}", letter.reason)
}

/// What the answer said, in a sentence: of a problem document (RFC 9457) its detail or else its title, and anything else as it is.
fn said(answer: &str) -> Cow<'_, str> {
    let problem: Value = serde_json::from_str(answer).unwrap_or_default();
    let member = |name: &str| problem[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    member("detail").or_else(|| member("title")).map_or(Cow::Borrowed(answer), Cow::Owned)
}

async fn one(client: &Client, subscription: &str, number: u64) -> Result<DeadLetter> {
    let page = client.dead_letters(subscription, None, number, 1).await.map_err(Failure::mistyped)?;
    let found = page.letters.into_iter().find(|letter| letter.number == number);
    found.ok_or_else(|| {
        let message =
            format!("`{subscription}` has no dead letter {number}: it was redriven or dropped, or never was.");
        Failure::new(Exit::Usage, message).into()
    })
}

fn show(letter: &DeadLetter) -> Result<()> {
    let quiet = ink::quiet();
    let position = letter.position.map_or_else(|| "redriven before".to_owned(), |position| position.to_string());
    for (name, text) in [
        ("number   ", letter.number.to_string()),
        ("reason   ", why(letter)),
        ("attempts ", letter.attempts.to_string()),
        ("published", letter.published_at.clone()),
        ("given up ", letter.buried_at.clone()),
        ("position ", position),
    ] {
        terminal::print(format_args!("{} {text}", quiet.apply_to(name)));
    }
    if said(&letter.detail) != letter.detail {
        terminal::print(format_args!("{} {}", quiet.apply_to("answer   "), letter.detail));
    }
    let event: Value = serde_json::from_str(letter.event.get()).context("the event is not JSON")?;
    terminal::print(format_args!("\n{}", serde_json::to_string_pretty(&event)?));
    Ok(())
}

fn settle(global: &Global, which: &Letters, count: u64, verb: &str) -> Result<Exit> {
    if global.json {
        terminal::print_json(&value!({ "subscription": which.subscription, verb: count }))?;
    } else {
        terminal::note(format_args!("{}: {count} {verb}", which.subscription));
    }
    let mut numbers = which.numbers.clone();
    numbers.sort_unstable();
    numbers.dedup();
    if count < numbers.len() as u64 {
        let missing = numbers.len() as u64 - count;
        return Err(Failure::new(Exit::Failed, format!("{missing} of the numbers are not there (any more).")).into());
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn of_a_problem_document_people_read_the_sentence() {
        for (answer, expected) in [
            (r#"{"type":"about:blank","title":"Unprocessable","detail":"no pages in it"}"#, "no pages in it"),
            (r#"{"title":"Unprocessable"}"#, "Unprocessable"),
            (r#"{"title":"Unprocessable","detail":""}"#, "Unprocessable"),
            (r#"{"errors":[1]}"#, r#"{"errors":[1]}"#),
            (r#"{"detail":[{"loc":["body"]}]}"#, r#"{"detail":[{"loc":["body"]}]}"#),
            ("no such order", "no such order"),
            (r#"{"title":"cut of"#, r#"{"title":"cut of"#),
            (r#""a text""#, r#""a text""#),
        ] {
            assert_eq!(said(answer), expected, "{answer}");
        }
    }
}
