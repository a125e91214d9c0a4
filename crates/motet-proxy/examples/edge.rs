//! Holds one edge open, for driving it with a load generator: `edge <listen> <instance>...`.
//!
//! With the defaults of every policy and the binary's allocator, so that what is measured is what is shipped.

use motet_kernel::{
    endpoint::{Endpoint, EndpointSet, State},
    id::InstanceId,
    task::TaskGroup,
};
use motet_proxy::{Config, EdgeSpec, Proxy};
use std::{error::Error, net::SocketAddr, num::NonZeroUsize};
use tokio::sync::watch;

/// As in the `motet` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().ok_or("usage: edge <listen> <instance>...")?.parse()?;
    let endpoints = arguments.enumerate().map(|(n, address)| {
        let address: SocketAddr = address.parse()?;
        let label = format!("callee-{}", n + 1).into();
        Ok(Endpoint { instance: InstanceId::new(), label, address: address.into(), state: State::Ready })
    });
    let endpoints = endpoints.collect::<Result<Vec<_>, std::net::AddrParseError>>()?;
    let (_set, watched) = watch::channel(EndpointSet { version: 1, endpoints: endpoints.into() });
    let mut config = Config::default();
    if let Ok(workers) = std::env::var("WORKERS") {
        config.workers = workers.parse::<NonZeroUsize>()?;
    }
    let group = TaskGroup::new();
    let proxy = Proxy::start(config, &group)?;
    let edge = EdgeSpec { listen: Some(listen), ..EdgeSpec::new("caller->callee".parse()?, watched) };
    proxy.apply(vec![edge], None).await?;
    group.cancelled().await;
    Ok(())
}
