//! Where the server is and who we are there, out of one URL: `amqp://user:password@host:5672/vhost`.
//!
//! Errors and logs name the server by what is left when user and password are taken away, so that no message can give them away.

use super::error::Trouble;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;

/// Half of it without a sign of life means that the connection is gone. RabbitMQ suggests a minute, which is long for publishers who wait.
const HEARTBEAT_SECONDS: u16 = 10;

/// A server, a virtual host on it, and credentials.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Trouble> {
        let mut uri: AMQPUri = url.trim().parse().map_err(|_| {
            // What the parser says may quote the password.
            Trouble::Address("is not an address: write amqp://user:password@host:5672/vhost, and %2f for the vhost `/`")
        })?;
        // A slash at the end is how people end addresses; a virtual host without a name is not what they mean by it.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self { uri })
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.uri.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let (host, port) = (&self.uri.authority.host, self.uri.authority.port);
        write!(f, "{scheme}://{host}:{port}")?;
        if self.uri.vhost == "/" { Ok(()) } else { write!(f, " (vhost `{}`)", self.uri.vhost) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_see_of_an_address_has_no_password() {
        let address = Address::parse("amqp://ada:lovelace@rabbit.example:5673/orders").unwrap();
        assert_eq!(address.to_string(), "amqp://rabbit.example:5673 (vhost `orders`)");
        assert!(!format!("{address:?}").contains("lovelace"));
        let broken = Address::parse("amqp://ada:lovelace@:x/").unwrap_err();
        assert!(!broken.to_string().contains("lovelace"), "{broken}");
    }

    #[test]
    fn a_slash_at_the_end_and_none_mean_the_default_virtual_host() {
        for url in ["amqp://localhost", "amqp://localhost/", "amqp://localhost/%2f"] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.vhost(), address.to_string().as_str()), ("/", "amqp://localhost:5672"), "{url}");
        }
        assert_eq!(Address::parse("amqp://localhost/%2f?heartbeat=3").unwrap().uri().query.heartbeat, Some(3));
    }
}
