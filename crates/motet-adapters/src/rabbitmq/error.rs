//! What can be wrong with a RabbitMQ, said so that the reader knows what to do.
//!
//! The client library reports most failures as a channel or a connection that is not there any more; the cause is a number in the frame
//! that closed it. This is the one place where those become sentences.

use lapin::{Error, ErrorKind};
use std::time::Duration;

/// Why something did not work. It never holds credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Address(&'static str),
    #[error("nothing answers there ({0}): start RabbitMQ, or correct the address under `engines.events.rabbitmq.url`")]
    Unreachable(String),
    #[error("it does not answer like RabbitMQ: {0}. Give the port of AMQP, which is 5672 or, with TLS, 5671")]
    NotRabbit(String),
    #[error(
        "TLS with it fails ({0}): the port has to be the one for TLS, by default 5671, and the certificate has to be from an authority that this machine trusts (the variable SSL_CERT_FILE names another file of them)"
    )]
    Tls(String),
    #[error("it is {product} {version}, and RabbitMQ {least} or newer is needed: {why}")]
    TooOld { product: String, version: String, least: &'static str, why: &'static str },
    #[error("user `{user}` is refused: check user and password in the address{hint}")]
    Login { user: String, hint: &'static str },
    #[error(
        "virtual host `{0}` is not there, or the user may not enter it: make it with `rabbitmqctl add_vhost` and `set_permissions`, or correct the last part of the address"
    )]
    Vhost(String),
    #[error(
        "`{what}` exists with other properties than Motet's ({said}): when its messages are not needed any more, delete it with `rabbitmqctl delete_queue` or in the management page, or choose another name for the system"
    )]
    Mismatch { what: String, said: String },
    #[error("queue `{0}` was made with another number of copies, and keeps it")]
    Copies(String),
    #[error(
        "queue `{0}` does not answer, though its server does. In a cluster most of its nodes may be away. RabbitMQ 3 leaves such a queue when it is killed within seconds after the queue was made: then delete it with `rabbitmqctl delete_queue`, and Motet makes it anew"
    )]
    Stuck(String),
    #[error(
        "the user may not do that: {0}. Give it the permissions to configure, write and read what begins with the system's name"
    )]
    Forbidden(String),
    #[error("{0}")]
    Lost(String),
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("RabbitMQ did not take a message: {0}")]
    NotTaken(String),
    #[error(
        "RabbitMQ has the events, and they have not come back within 10 s{0}. They are not lost, and may be published when it reads on"
    )]
    NotBack(String),
    #[error("it has too little memory or disk and takes no messages now: free some, or raise its limits")]
    Blocked,
    #[error("{0} bytes wait to be taken already")]
    Full(usize),
}

impl Trouble {
    /// Whether trying again is of no use before somebody changes something.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Address(_)
                | Self::NotRabbit(_)
                | Self::Tls(_)
                | Self::TooOld { .. }
                | Self::Login { .. }
                | Self::Vhost(_)
                | Self::Mismatch { .. }
                | Self::Forbidden(_)
        )
    }

    /// What the server said when it closed a channel on which `what` was declared.
    pub(super) fn declaring(what: &str, error: &Error) -> Self {
        match reply(error) {
            Some((406, said)) => Self::Mismatch { what: what.to_owned(), said },
            Some((405, said)) => {
                Self::Mismatch { what: what.to_owned(), said: format!("it belongs to one connection: {said}") }
            }
            _ => error.into(),
        }
    }
}

/// The number and the text with which the server closed a channel or a connection.
fn reply(error: &Error) -> Option<(u16, String)> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    Some((error.get_id(), error.get_message().to_string()))
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        match (reply(error), error.kind()) {
            (Some((403, said)), _) => Self::Forbidden(said),
            (Some((code, said)), _) => Self::Lost(format!("RabbitMQ closed the channel or connection: {code} {said}")),
            (None, ErrorKind::IOError(error)) => Self::Lost(format!("the connection broke: {error}")),
            (None, ErrorKind::MissingHeartbeatError) => {
                Self::Lost("the connection gave no sign of life and was given up".to_owned())
            }
            (None, ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannelState(..)) => {
                Self::Lost("the connection is lost".to_owned())
            }
            (None, _) => Self::Lost(error.to_string()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        (&error).into()
    }
}
