//! Free ports, each given to one instance at a time.
//!
//! A port is tried by binding it and let go again before the instance binds it. Another program may take it in between: then the instance
//! fails, and its restart gets another port. Ports are picked at random so that two supervisors on one machine rarely try the same.

use std::{collections::HashSet, net::TcpListener, ops::RangeInclusive};

/// So many ports are tried before there is said to be none.
const TRIES_MAX: usize = 200;

/// The ports that are given out.
#[derive(Debug)]
pub(crate) struct Allotment {
    range: RangeInclusive<u16>,
    taken: HashSet<u16>,
}

impl Allotment {
    pub(crate) fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, taken: HashSet::new() }
    }

    /// A port that nobody listens on, on any address.
    pub(crate) fn take(&mut self) -> Option<u16> {
        for _ in 0..TRIES_MAX {
            let port = fastrand::u16(self.range.clone());
            if !self.taken.contains(&port) && TcpListener::bind(("0.0.0.0", port)).is_ok() {
                self.taken.insert(port);
                return Some(port);
            }
        }
        None
    }

    pub(crate) fn give_back(&mut self, port: u16) {
        self.taken.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_until_it_comes_back_and_never_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut ports = Allotment::new(port..=port);
        assert_eq!(ports.take(), None);
        drop(listener);
        assert_eq!(ports.take(), Some(port));
        assert_eq!(ports.take(), None);
        ports.give_back(port);
        assert_eq!(ports.take(), Some(port));
    }
}
