//! `motet logs`: what services print, from the files and then live.

use crate::{
    cli::{Global, Logs},
    connect,
    exit::Exit,
    terminal::logs::Printer,
};
use anyhow::Result;
use futures_util::StreamExt as _;

pub(crate) async fn run(global: &Global, arguments: &Logs) -> Result<Exit> {
    let client = connect::running(global)?;
    let system = client.system().await?;
    super::wait::known(&system, &arguments.services)?;
    let names = system.services.iter().map(|service| service.name.as_str());
    let shown = |name: &&str| arguments.services.is_empty() || arguments.services.iter().any(|wanted| wanted == name);
    let mut printer = Printer::new(names.filter(shown), global.json);
    let mut events = client.logs(&arguments.services, arguments.tail, arguments.follow).await?;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => printer.event(&event?),
                None => return Ok(Exit::Done),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
}
