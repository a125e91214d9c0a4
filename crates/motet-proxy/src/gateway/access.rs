//! Who is let in. A route is open, or asks its callers to show something: an API key or a signed token, with what both have to allow.
//!
//! Who shows nothing, or nothing valid, gets 401 and one sentence that is the same for all reasons: an attacker learns nothing from it. Who is
//! known but may not gets 403.

use super::{
    jwks::Jwks,
    jwt::{self, Claims, Refusal, Rules, Token},
    keys::{API_KEY, ApiKey, Keyring, Presented, presented},
};
use crate::{headers::SUBJECT, rescue::Cause};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

/// Tells the service by what: `key` or `token`. A key and a token may name the same subject and be different people.
pub(crate) const AUTH: HeaderName = HeaderName::from_static("x-motet-auth");

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody. What they show is passed on to the service unread.
    Open,
    /// Those who show what is needed.
    Guarded(Need),
}

/// What a caller has to show. The default: any key or token that the gateway knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    /// The names of the keys that will do. `None`: each.
    pub keys: Option<BTreeSet<String>>,
    /// The scopes that are needed, all of them: of the key, or of the token's `scope` (RFC 8693, section 4.2) or `scp`.
    pub scopes: BTreeSet<String>,
    /// Claims of the token that must have this value, or hold it in their list. A key has no claims and will not do where any are asked for.
    pub claims: BTreeMap<String, String>,
}

/// What a gateway can recognize.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub(crate) keys: Keyring,
    pub(crate) issuers: Vec<Issued>,
}

/// Who issues tokens, and the keys that they are signed with.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) rules: Rules,
    pub(crate) keys: Arc<Jwks>,
}

/// Who it is.
enum Known<'a> {
    Key(&'a ApiKey, HeaderName),
    Token(Claims),
}

impl Guard {
    /// Whether anybody can be recognized at all.
    pub(crate) fn is_closed(&self) -> bool {
        !self.keys.is_empty() || !self.issuers.is_empty()
    }

    /// Lets a request in, and puts down who it is.
    pub(crate) async fn admit(&self, access: &Access, headers: &mut HeaderMap) -> Result<(), Cause> {
        let Access::Guarded(need) = access else { return Ok(()) };
        let (subject, by, used_up) = match self.recognize(presented(headers)).await? {
            Known::Key(key, place) => {
                allow_key(key, need)?;
                (HeaderValue::from_str(&key.name), "key", Some(place))
            }
            Known::Token(claims) => {
                allow_token(&claims, need)?;
                (HeaderValue::from_str(claims.subject()), "token", None)
            }
        };
        // A subject that cannot be written down would arrive as nobody.
        let subject = subject.map_err(|_| Cause::NotRecognized)?;
        // A key is worth as much in a service's log as in an attacker's hand. A token is for the service too: it says more than a name.
        if let Some(place) = used_up {
            headers.remove(place);
        }
        headers.insert(SUBJECT, subject);
        headers.insert(AUTH, HeaderValue::from_static(by));
        Ok(())
    }

    async fn recognize(&self, shown: Presented<'_>) -> Result<Known<'_>, Cause> {
        let (key, place) = match shown {
            Presented::Nothing => return Err(Cause::NothingShown),
            Presented::Unclear => return Err(Cause::NotRecognized),
            Presented::Bearer(token) if !self.issuers.is_empty() && jwt::looks_like_one(token) => {
                return self.token(token).await.map(Known::Token);
            }
            Presented::Key(key) => (key, API_KEY),
            Presented::Bearer(key) => (key, header::AUTHORIZATION),
        };
        self.keys.find(key).map(|key| Known::Key(key, place)).ok_or(Cause::NotRecognized)
    }

    async fn token(&self, token: &str) -> Result<Claims, Cause> {
        let token = Token::read(token).map_err(refused)?;
        let issued = self.issuers.iter().find(|issued| token.claims_to_be_from(&issued.rules.issuer));
        let issued = issued.ok_or_else(|| refused(Refusal::Issuer))?;
        let (keys, version) = issued.keys.now();
        let known = keys.as_deref().map(|keys| token.verify(keys, &issued.rules, SystemTime::now()));
        match known {
            Some(Ok(claims)) => return Ok(claims),
            Some(Err(Refusal::UnknownKey)) | None => {}
            Some(Err(refusal)) => return Err(refused(refusal)),
        }
        // Keys change, and tokens of the new key come before we have it.
        issued.keys.newer_than(version).await;
        let (keys, _) = issued.keys.now();
        let keys = keys.ok_or(Cause::NoSigningKeys)?;
        token.verify(&keys, &issued.rules, SystemTime::now()).map_err(refused)
    }
}

/// The reason goes to the log, for those who run the gateway; the caller is told none.
fn refused(refusal: Refusal) -> Cause {
    tracing::debug!(reason = %refusal, "a token was refused");
    Cause::NotRecognized
}

fn allow_key(key: &ApiKey, need: &Need) -> Result<(), Cause> {
    let named = need.keys.as_ref().is_none_or(|keys| keys.contains(&key.name));
    if !named || !need.claims.is_empty() {
        return Err(Cause::Forbidden { scopes: None });
    }
    scopes(need, |scope| key.scopes.contains(scope))
}

fn allow_token(claims: &Claims, need: &Need) -> Result<(), Cause> {
    scopes(need, |scope| claims.has_scope(scope))?;
    let all = need.claims.iter().all(|(name, value)| claims.has(name, value));
    if all { Ok(()) } else { Err(Cause::Forbidden { scopes: None }) }
}

fn scopes(need: &Need, has: impl Fn(&str) -> bool) -> Result<(), Cause> {
    if need.scopes.iter().all(|scope| has(scope)) {
        return Ok(());
    }
    let scopes: Vec<&str> = need.scopes.iter().map(String::as_str).collect();
    Err(Cause::Forbidden { scopes: Some(scopes.join(" ")) })
}
