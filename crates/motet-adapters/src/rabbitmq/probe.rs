//! What answers at an address, before the client library is let at it.
//!
//! The library keeps to itself what the server says of itself, and waits without end for one that accepts and then says nothing, with a thread each
//! time. So each connection is preceded by a look: one greeting, one frame, and the server's product and version are known, or that it is
//! none (AMQP 0-9-1, sections 2.2.4 and 1.4.2.1).

use super::{address::Address, error::Trouble};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    protocol::{AMQPClass, connection::AMQPMethod, parse_class},
    tcp::AMQPUriTcpExt,
    types::AMQPValue,
};
use std::{fmt, io, time::Duration};

const GREETING: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// What RabbitMQ says of itself is below a kilobyte.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// Older ones lose what they cannot deliver to the queue of rejected messages.
const LEAST: (u32, u32) = (3, 10);

/// A server, by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// `3.10.8`.
    pub(super) version: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RabbitMQ {}", self.version)
    }
}

/// Asks what is there, for at most `limit`.
pub(super) async fn probe(address: &Address, limit: Duration) -> Result<Server, Trouble> {
    match tokio::time::timeout(limit, ask(address)).await {
        Ok(answer) => judge(answer?),
        Err(_) => Err(Trouble::NotRabbit(format!("it said nothing for {} seconds", limit.as_secs()))),
    }
}

/// Product and version.
async fn ask(address: &Address) -> Result<(String, String), Trouble> {
    let unreachable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => Trouble::Tls(error.to_string()),
        _ => Trouble::Unreachable(error.to_string()),
    };
    let runtime = lapin::runtime::default_runtime().map_err(|error| Trouble::Lost(error.to_string()))?;
    let mut stream = address.uri().connect_async(&runtime).await.map_err(unreachable)?;
    // What stands before a server that does not run yet does that too.
    let lost = |error: io::Error| Trouble::Unreachable(format!("the connection is taken and closed: {error}"));
    stream.write_all(GREETING).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).await.map_err(lost)?;
    let [kind, _, _, size @ ..] = head;
    let size = u32::from_be_bytes(size) as usize;
    if head.starts_with(b"AMQP") {
        return Err(Trouble::NotRabbit("it speaks another version of AMQP".to_owned()));
    }
    if kind != 1 || size > FRAME_BYTES_MAX {
        return Err(Trouble::NotRabbit(format!("it began with `{}`", head.escape_ascii())));
    }
    let mut frame = vec![0; size];
    stream.read_exact(&mut frame).await.map_err(lost)?;
    let start = match parse_class(frame.as_slice()) {
        Ok((_, AMQPClass::Connection(AMQPMethod::Start(start)))) => start,
        _ => return Err(Trouble::NotRabbit("its first frame is not the beginning of a connection".to_owned())),
    };
    let text = |name: &str| match start.server_properties.inner().get(name) {
        Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    };
    Ok((text("product"), text("version")))
}

fn judge((product, version): (String, String)) -> Result<Server, Trouble> {
    if product != "RabbitMQ" {
        let name = if product.is_empty() { "a server without a name" } else { &product };
        return Err(Trouble::NotRabbit(format!("it is {name}, whose queues Motet does not know")));
    }
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit()).map_while(|part| part.parse().ok());
    let known = numbers.next().zip(numbers.next());
    if known.is_some_and(|known| known < LEAST) {
        let why = "queues that are replicated, and hand on what they reject without losing it, are new in that version";
        return Err(Trouble::TooOld { product, version, least: "3.10", why });
    }
    Ok(Server { version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_foreign_servers_are_told_from_good_ones() {
        let judge = |product: &str, version: &str| judge((product.to_owned(), version.to_owned()));
        for good in ["3.10.0", "3.13.7", "4.2.1", "4.3.0-rc.1", "from source"] {
            assert!(judge("RabbitMQ", good).is_ok(), "{good}");
        }
        for old in ["3.9.29", "3.8.0", "2.99.1"] {
            assert!(matches!(judge("RabbitMQ", old), Err(Trouble::TooOld { .. })), "{old}");
        }
        assert!(judge("LavinMQ", "2.0.0").unwrap_err().to_string().contains("it is LavinMQ"));
        assert!(judge("", "").is_err());
    }
}
