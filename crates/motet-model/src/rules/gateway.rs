//! What the gateway is told about who is let in has to fit together.

use super::Subject;
use crate::{
    code,
    finding::Finding,
    spelling,
    system::gateway::{Access, Cors, Shown},
};

/// Keys are worth what it costs to find them by trying.
const SECRET_MIN: usize = 16;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(gateway) = &subject.system.gateway else { return };
    if let Some(rule) = &gateway.cors {
        cors(subject, rule, &["gateway"], findings);
    }
    for (name, key) in &gateway.keys {
        if matches!(&key.shown, Shown::Secret(secret) if secret.chars().count() < SECRET_MIN) {
            // The value is not shown: it is a secret, though a short one.
            findings.push(
                Finding::error(code::WEAK_KEY, format!("the key `{name}` is shorter than {SECRET_MIN} characters"))
                    .at(subject.place(&["gateway", "keys", name, "secret"]), "too short")
                    .help("make one that nobody finds by trying: `openssl rand -hex 32`"),
            );
        }
    }
    for (path, route) in &gateway.routes {
        if let Some(rule) = &route.cors {
            cors(subject, rule, &["gateway", "routes", path], findings);
        }
        let Access::Guarded { keys, claims, .. } = &route.access else { continue };
        let place = |key: &str| subject.place(&["gateway", "routes", path, "access", key]);
        if gateway.keys.is_empty() && gateway.issuers.is_empty() {
            findings.push(
                Finding::error(
                    code::NOBODY_KNOWN,
                    format!("`{path}` asks who its callers are, and nobody can be recognized"),
                )
                .at(subject.place(&["gateway", "routes", path, "access"]), "would let nobody in")
                .help("add `keys` or `jwt` to the gateway, or remove `access`"),
            );
            continue;
        }
        if gateway.issuers.is_empty() && !claims.is_empty() {
            findings.push(
                Finding::error(code::NOBODY_KNOWN, format!("`{path}` asks for claims, and no tokens are believed"))
                    .at(place("claims"), "a key has no claims")
                    .help("add `jwt` to the gateway, or ask for `scopes` or `keys`"),
            );
        }
        for name in keys.iter().flatten().filter(|name| !gateway.keys.contains_key(*name)) {
            let near = spelling::nearest(name, gateway.keys.keys().map(String::as_str));
            let help = near.map_or_else(
                || "name keys that stand under `gateway.keys`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            findings.push(
                Finding::error(code::NOBODY_KNOWN, format!("`{path}` asks for the key `{name}`, which is not defined"))
                    .at(place("keys"), "no such key")
                    .help(help),
            );
        }
    }
}

fn cors(subject: &Subject<'_>, rule: &Cors, path: &[&str], findings: &mut Vec<Finding>) {
    if !rule.credentials || !rule.origins.iter().any(|origin| origin == "*") {
        return;
    }
    let place = |key| subject.place(&[path, &["cors", key]].concat());
    findings.push(
        Finding::error(code::OPEN_COOKIES, "cookies cannot be allowed to pages of every origin")
            .at(place("credentials"), "with cookies")
            .also(place("origins"), "from everywhere")
            .help("name the origins, or remove `credentials`: browsers refuse both together"),
    );
}
