//! `motet replay mail.order.placed --from earliest`: a subscription begins again at another place of its topic.

use crate::{
    cli::{Global, Replay},
    connect,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Result;

pub(crate) async fn run(global: &Global, arguments: &Replay) -> Result<Exit> {
    let Replay { subscription, from } = arguments;
    let replayed = connect::running(global)?.replay(subscription, *from).await.map_err(Failure::mistyped)?;
    if global.json {
        terminal::print_json(&replayed)?;
    } else {
        terminal::note(format_args!("{subscription}: begins again at position {}", replayed.position));
    }
    Ok(Exit::Done)
}
