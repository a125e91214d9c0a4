//! `motet scale embedder=3`: sets numbers of instances and waits until they are there.

use super::wait::{self, Verdict};
use crate::{
    cli::{Global, Scale},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Result;
use std::collections::BTreeMap;

pub(crate) async fn run(global: &Global, arguments: &Scale) -> Result<Exit> {
    let limit = wait::duration(&arguments.timeout)?;
    let targets: BTreeMap<String, u32> = arguments.targets.iter().map(|text| target(text)).collect::<Result<_>>()?;
    let client = connect::running(global)?;
    let names: Vec<String> = targets.keys().cloned().collect();
    wait::known(&client.system().await?, &names)?;
    for (service, instances) in &targets {
        client.scale(service, *instances).await?;
    }
    wait::until(&client, limit, |system| {
        for service in system.services.iter().filter(|service| targets.contains_key(&service.name)) {
            let settled = service.wanted == targets[&service.name]
                && u32::try_from(service.instances.len()) == Ok(service.wanted)
                && service.ready == service.wanted;
            match wait::verdict(service) {
                Verdict::Never(why) => return Verdict::Never(why),
                _ if !settled => return Verdict::NotYet,
                _ => {}
            }
        }
        Verdict::There
    })
    .await?;
    if global.json {
        terminal::print_json(&targets)?;
    } else {
        for (service, instances) in &targets {
            terminal::note(format_args!("{service}: {instances} ready"));
        }
    }
    Ok(Exit::Done)
}

fn target(text: &str) -> Result<(String, u32)> {
    let wrong =
        || Failure::new(Exit::Usage, format!("`{text}` is not of the form SERVICE=NUMBER, as in `embedder=3`."));
    let (service, number) = text.split_once('=').ok_or_else(wrong)?;
    Ok((service.to_owned(), number.parse().map_err(|_| wrong())?))
}
