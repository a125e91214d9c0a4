//! How many connections each client has, over all workers. A client is an IPv4 address or the /64 of an IPv6 address: whoever has one
//! IPv6 address has all of its network. There is one entry per client that is connected, so the table cannot outgrow the connections.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<IpAddr, u32>>);

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    /// Counts a connection, or refuses it when its client has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr, limit: u32) -> Option<Counted> {
        let client = client(peer);
        let mut table = self.0.lock();
        let count = table.entry(client).or_insert(0);
        if *count >= limit {
            if *count == 0 {
                table.remove(&client);
            }
            return None;
        }
        *count += 1;
        Some(Counted { clients: Arc::clone(self), client })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut table = self.clients.0.lock();
        if let Some(count) = table.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.client);
            }
        }
    }
}

fn client(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_connections_and_no_more_until_one_ends() {
        let clients = Arc::<Clients>::default();
        let enter = |peer: &str| clients.enter(peer.parse().unwrap(), 2);
        let (first, second) = (enter("10.0.0.1"), enter("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("10.0.0.1").is_none());
        let other = enter("10.0.0.2");
        assert!(other.is_some());
        drop(first);
        assert!(enter("10.0.0.1").is_some());
        drop((second, other));
        assert!(clients.0.lock().is_empty(), "who is gone leaves nothing behind");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let clients = Arc::<Clients>::default();
        let one = clients.enter("2001:db8::1".parse().unwrap(), 1);
        assert!(one.is_some());
        assert!(clients.enter("2001:db8::2".parse().unwrap(), 1).is_none());
        assert!(clients.enter("2001:db8:0:1::1".parse().unwrap(), 1).is_some());
    }
}
