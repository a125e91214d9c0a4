//! Finds out who listens on an address, for the error message: on Linux by the socket's inode, elsewhere not at all.
//!
//! Reads `/proc` of others as far as it may; whatever it cannot read, it does not know.

use crate::error::Holder;
use std::{fs, net::SocketAddr, path::Path};

/// The process that listens on the port, where it can be told.
pub(crate) fn of(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| inode(&fs::read_to_string(table).ok()?, address.port()))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if holds(&process.path(), &wanted) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder { pid, command: command.trim().to_owned() });
        }
    }
    None
}

fn holds(process: &Path, wanted: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

/// The inode of the socket that listens on the port, out of a table as `/proc/net/tcp` has it.
fn inode(table: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let (_, local_port) = local.rsplit_once(':')?;
        let here = state == LISTENING && u16::from_str_radix(local_port, 16) == Ok(port);
        if here { fields.nth(5)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_listening_socket_is_found_and_a_connected_one_is_not() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000  1000 0 111 1 0\n\
            1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 222 1 0\n";
        assert_eq!(inode(table, 8080), Some(222));
        assert_eq!(inode(table, 8081), None);
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(table in "[0-9A-F: \n]{0,200}", port in any::<u16>()) {
            let _ = inode(&table, port);
        }
    }
}
