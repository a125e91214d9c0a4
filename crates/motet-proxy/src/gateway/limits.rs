//! How much a caller from outside may ask of the gateway. Each limit answers one way of wearing a server down with few means: large heads,
//! endless bodies, heads and bodies that trickle (slow loris), answers that nobody takes, thousands of connections, streams that are opened
//! and reset.
//!
//! The head is checked here, above what hyper allows, so that the answer can say what was too long. hyper's own limits stand at twice
//! ours: beyond them it refuses without a document.

use crate::rescue::Cause;
use http::{HeaderMap, Uri};
use std::{net::IpAddr, time::Duration};

/// The limits of a gateway, with their defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayLimits {
    /// The longest path with its query, in bytes; more is refused with 414. Default 8,192: what RFC 9110, section 4.1, asks every
    /// server to support.
    pub uri_max: usize,
    /// The longest request head, in bytes; more is refused with 431. Default 32 KiB.
    pub head_max: usize,
    /// How many header fields; more are refused with 431. Default 100.
    pub fields_max: usize,
    /// The longest request body, in bytes; more is refused with 413. `None`: no limit. Default 64 MiB. Routes may have their own.
    pub body_max: Option<u64>,
    /// How slowly a request body may come, in bytes per second, until the answer begins; less is refused with 408. Only the time that is
    /// spent waiting for the caller counts. `None`: as slowly as it likes. Default 256. Routes may have their own.
    pub body_rate_min: Option<u32>,
    /// How long a body may fall behind `body_rate_min`. Default 10 s.
    pub body_grace: Duration,
    /// How long a request's head may take from its first byte, and a TLS handshake. Default 10 s.
    pub head_timeout: Duration,
    /// How long a connection may be without a request. Default 60 s.
    pub idle: Duration,
    /// How long a caller may take nothing of what is sent to it. Default 60 s.
    pub stalled: Duration,
    /// How many connections the gateway holds; more wait in the kernel's queue. Default 16,384, shared evenly by the workers.
    pub connections_max: usize,
    /// How many connections one client may have (an IPv4 address, or the /64 of an IPv6 address); more are closed at once. Default 1,024, and
    /// `None` (no limit) where the gateway listens on loopback: everybody is one client there.
    pub connections_per_client_max: Option<u32>,
    /// How many requests may be under way on one HTTP/2 connection. Default 128.
    pub streams_max: u32,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            uri_max: 8 * 1024,
            head_max: 32 * 1024,
            fields_max: 100,
            body_max: Some(64 * 1024 * 1024),
            body_rate_min: Some(256),
            body_grace: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stalled: Duration::from_secs(60),
            connections_max: 16_384,
            connections_per_client_max: Some(1024),
            streams_max: 128,
        }
    }
}

impl GatewayLimits {
    /// The defaults for a gateway that listens there.
    pub fn listening_on(address: IpAddr) -> Self {
        let defaults = Self::default();
        match address.is_loopback() {
            true => Self { connections_per_client_max: None, ..defaults },
            false => defaults,
        }
    }

    /// The limits of request bodies.
    pub fn body(&self) -> BodyLimits {
        BodyLimits { max: self.body_max, rate_min: self.body_rate_min, grace: self.body_grace }
    }

    /// Refuses a head that is too long in one of its measures.
    pub(crate) fn check_head(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Cause> {
        let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > self.uri_max {
            return Err(Cause::UriTooLong { limit: self.uri_max });
        }
        if headers.len() > self.fields_max {
            return Err(Cause::TooManyFields { limit: self.fields_max });
        }
        // As they are written in HTTP/1.1: `name: value`, CR, LF.
        let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if target + fields > self.head_max {
            return Err(Cause::HeadTooLong { limit: self.head_max });
        }
        Ok(())
    }
}

/// The limits of the request bodies of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct BodyLimits {
    /// See [`GatewayLimits::body_max`].
    pub max: Option<u64>,
    /// See [`GatewayLimits::body_rate_min`].
    pub rate_min: Option<u32>,
    /// See [`GatewayLimits::body_grace`].
    pub grace: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(count: usize, length: usize) -> HeaderMap {
        let value = HeaderValue::from_bytes(&vec![b'v'; length]).unwrap();
        (0..count).map(|n| (HeaderName::try_from(format!("x-{n}")).unwrap(), value.clone())).collect()
    }

    #[test]
    fn a_head_is_measured_by_its_target_its_fields_and_its_length() {
        let limits = GatewayLimits { uri_max: 10, head_max: 100, fields_max: 3, ..GatewayLimits::default() };
        let check = |uri: &str, headers: &HeaderMap| limits.check_head(&uri.parse().unwrap(), headers);
        assert!(check("/123456789", &headers(3, 20)).is_ok());
        assert!(matches!(check("/?123456789", &headers(0, 0)), Err(Cause::UriTooLong { limit: 10 })));
        assert!(matches!(check("/", &headers(4, 0)), Err(Cause::TooManyFields { limit: 3 })));
        assert!(matches!(check("/", &headers(2, 50)), Err(Cause::HeadTooLong { limit: 100 })));
    }

    #[test]
    fn callers_on_the_same_machine_are_not_told_apart() {
        assert_eq!(GatewayLimits::listening_on([127, 0, 0, 1].into()).connections_per_client_max, None);
        assert_eq!(GatewayLimits::listening_on([0, 0, 0, 0].into()).connections_per_client_max, Some(1024));
    }
}
