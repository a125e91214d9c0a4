//! A peer: the smallest proxy that Pingora allows, with its defaults and nothing optional compiled in.
//! `peer-pingora <listen> <upstream> <threads>`

use std::{error::Error, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Proxy {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: peer-pingora <listen> <upstream> <threads>");
    let (listen, upstream, threads) = (next()?, next()?.parse()?, next()?.parse()?);
    let configuration = ServerConf { threads, grace_period_seconds: Some(0), ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Proxy { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
