//! From the definition's gateway to the data plane's: who is let in, from where, with how much.

use anyhow::{Context, Result};
use motet_model::system::{
    self,
    gateway::{Body, Cors, Issuer, Jwks, PerClient, Shown, Tls},
};
use motet_proxy::{GatewaySpec, RouteSpec, gateway as proxy};
use std::time::Duration;

/// The gateway with its routes, which have been given what is theirs by [`guard`].
pub(super) fn gateway(gateway: &system::Gateway, routes: Vec<RouteSpec>) -> Result<GatewaySpec> {
    let spec = GatewaySpec::new(gateway.listen, routes);
    let limits = &gateway.limits;
    let per_client = match limits.connections_per_client {
        PerClient::Default => spec.limits.connections_per_client_max,
        PerClient::Most(most) => Some(most),
        PerClient::Unlimited => None,
    };
    let body = body(limits.body, limits.body_grace);
    Ok(GatewaySpec {
        limits: proxy::GatewayLimits {
            uri_max: size(limits.uri),
            head_max: size(limits.head),
            fields_max: size(limits.fields.into()),
            body_max: body.max,
            body_rate_min: body.rate_min,
            body_grace: body.grace,
            head_timeout: limits.head_timeout,
            idle: limits.idle,
            stalled: limits.stalled,
            connections_max: size(limits.connections.into()),
            connections_per_client_max: per_client,
            streams_max: limits.streams,
        },
        cors: gateway.cors.as_ref().map(cors).transpose()?,
        keys: gateway.keys.iter().map(|(name, key)| api_key(name, key)).collect(),
        issuers: gateway.issuers.iter().map(issuer).collect::<Result<_>>()?,
        tls: gateway.tls.clone().map(|Tls { certificate, key, client_ca }| proxy::Tls { certificate, key, client_ca }),
        ..spec
    })
}

/// Gives a route what it says about who may use it, and with how much.
pub(super) fn guard(route: &system::Route, grace: Duration, spec: RouteSpec) -> Result<RouteSpec> {
    let access = match &route.access {
        system::gateway::Access::Default => None,
        system::gateway::Access::Open => Some(proxy::Access::Open),
        system::gateway::Access::Guarded { keys, scopes, claims } => Some(proxy::Access::Guarded(proxy::Need {
            keys: keys.clone(),
            scopes: scopes.clone(),
            claims: claims.clone(),
        })),
    };
    let cors = route.cors.as_ref().map(cors).transpose()?;
    Ok(RouteSpec { access, cors, body: Some(body(route.body, grace)), ..spec })
}

fn body(body: Body, grace: Duration) -> proxy::BodyLimits {
    let rate_min = body.rate.map(|rate| u32::try_from(rate).unwrap_or(u32::MAX));
    proxy::BodyLimits { max: body.max, rate_min, grace }
}

fn cors(cors: &Cors) -> Result<proxy::Cors> {
    let names = |names: &[String]| {
        let read = names.iter().map(|name| name.parse().with_context(|| format!("{name:?} names no header field")));
        read.collect::<Result<Vec<_>>>()
    };
    let every = cors.headers.iter().any(|name| name == "*");
    Ok(proxy::Cors {
        origins: cors.origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?,
        methods: cors.methods.iter().map(|method| method.parse()).collect::<Result<_, _>>()?,
        headers: if every { None } else { Some(names(&cors.headers)?) },
        expose: names(&cors.expose)?,
        credentials: cors.credentials,
        max_age: cors.max_age,
    })
}

fn api_key(name: &str, key: &system::gateway::ApiKey) -> proxy::ApiKey {
    let scopes = key.scopes.clone();
    match &key.shown {
        Shown::Sha256(sha256) => proxy::ApiKey { name: name.to_owned(), sha256: *sha256, scopes },
        Shown::Secret(secret) => proxy::ApiKey { scopes, ..proxy::ApiKey::from_secret(name, secret) },
    }
}

fn issuer(issuer: &Issuer) -> Result<proxy::Issuer> {
    let keys = match &issuer.jwks {
        Jwks::File(file) => proxy::KeysFrom::File(file.clone()),
        Jwks::Url { url, ca } => {
            let url = url.parse().with_context(|| format!("{url} is no URL"))?;
            proxy::KeysFrom::Url { url, ca: ca.clone() }
        }
    };
    Ok(proxy::Issuer {
        algorithms: issuer.algorithms.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        leeway: issuer.leeway,
        ..proxy::Issuer::new(&issuer.issuer, &issuer.audience, keys)
    })
}

fn size(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_model::{LoadOptions, load};

    fn gateway_of(keys: &str) -> system::Gateway {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "motet: 1\nsystem: s\nservices:\n  web: {{ path: ., process: {{ command: ./web }} }}\ngateway:\n  routes: {{ /: web }}\n{keys}"
        );
        std::fs::write(dir.path().join("motet.yaml"), text).unwrap();
        let options = LoadOptions { file: dir.path().to_owned(), ..LoadOptions::default() };
        load(&options).unwrap_or_else(|problems| panic!("{problems}")).system.gateway.unwrap()
    }

    #[test]
    fn what_is_not_written_is_as_the_data_plane_would_have_it() {
        let spec = gateway(&gateway_of(""), Vec::new()).unwrap();
        assert_eq!(spec.limits, proxy::GatewayLimits::listening_on([127, 0, 0, 1].into()));
        let open = gateway(&gateway_of("  listen: 0.0.0.0:80\n"), Vec::new()).unwrap();
        assert_eq!(open.limits, proxy::GatewayLimits::default());
        assert!(spec.cors.is_none() && spec.keys.is_empty() && spec.issuers.is_empty() && spec.tls.is_none());
        let bare = gateway(&gateway_of("  cors: { origins: [\"https://a.org\"] }\n"), Vec::new()).unwrap();
        let origins = vec!["https://a.org".parse().unwrap()];
        assert_eq!(bare.cors, Some(proxy::Cors { origins, ..proxy::Cors::default() }));
    }

    #[test]
    fn keys_and_issuers_arrive_as_they_were_written() {
        let spec = gateway(
            &gateway_of(
                "  keys:\n    a: { secret: 0123456789abcdef, scopes: [x] }\n    b: { sha256: 9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f }\n  jwt: { issuer: i, audience: a, jwks: { file: keys.json }, algorithms: [ES256] }\n",
            ),
            Vec::new(),
        )
        .unwrap();
        // The same key, once by itself and once by its hash.
        assert_eq!(spec.keys[0].sha256, spec.keys[1].sha256);
        assert_eq!(spec.keys[0].scopes, ["x".to_owned()].into());
        assert_eq!(spec.issuers[0].algorithms, [proxy::Algorithm::ES256]);
        assert!(matches!(&spec.issuers[0].keys, proxy::KeysFrom::File(file) if file.is_absolute()));
    }
}
