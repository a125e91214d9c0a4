//! Joins the two connections of a request that was answered with 101: from then on bytes pass both ways (WebSocket, RFC 6455).

use super::record::Record;
use crate::{listener::Listener, load::Ticket};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use tokio::io::copy_bidirectional;

/// Passes bytes until one side ends, or the listener closes.
pub(crate) async fn join(listener: Rc<Listener>, caller: OnUpgrade, callee: OnUpgrade, record: Record, ticket: Ticket) {
    let pass = async {
        let (caller, callee) = tokio::try_join!(caller, callee).map_err(std::io::Error::other)?;
        copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(callee)).await
    };
    tokio::select! {
        ended = pass => match ended {
            Ok(_) => record.ended(),
            Err(error) => {
                tracing::debug!(%error, "an upgraded connection broke");
                record.cut();
            }
        },
        () = listener.closing.cancelled() => record.cut(),
    }
    drop(ticket);
}
