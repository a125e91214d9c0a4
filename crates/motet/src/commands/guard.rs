//! `motet guard`: the small process that outlives a killed Motet for as long as it takes to end the services. Started by the supervisor, never by hand.

use crate::exit::Exit;
use anyhow::Result;

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(crate) fn run() -> Result<Exit> {
    motet_supervisor::guard::guard_main(std::io::stdin().lock());
    Ok(Exit::Done)
}
