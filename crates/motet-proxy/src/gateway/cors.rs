//! Cross-origin requests as the Fetch standard has them (section 3.2, "CORS protocol"): which pages of other origins may read answers.
//!
//! A preflight is answered here, before anybody is asked who they are, because browsers send it without credentials. Where the
//! gateway has rules, they replace what the service says about it: two answers to one question would be none.

use crate::rescue::Cause;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, InvalidHeaderValue},
};
use std::{fmt, str::FromStr, time::Duration};

/// Who may call across origins, and what they may see.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// The origins. Empty: none.
    pub origins: Vec<Origin>,
    /// The methods. Default `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub methods: Vec<Method>,
    /// The header fields that a page may send beyond the safelisted ones. `None`: those that it asks for. Default
    /// `authorization`, `content-type`, `x-api-key`, `idempotency-key`.
    pub headers: Option<Vec<HeaderName>>,
    /// The header fields of answers that a page may read beyond the safelisted ones. Default none.
    pub expose: Vec<HeaderName>,
    /// Whether cookies and TLS certificates come along. Not possible with any origin. Default no.
    pub credentials: bool,
    /// How long a browser may remember a preflight. Default 10 min.
    pub max_age: Duration,
}

/// An origin, or a pattern of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Each: `*`.
    Any,
    /// This one, as browsers write it: `https://app.example.org`, in lower case, without the scheme's own port.
    Exact(String),
    /// Each host below a domain: `https://*.example.org`. Not the domain itself.
    Below {
        /// With `://`.
        scheme: String,
        /// With its leading dot, and the port if there is one.
        domain: String,
    },
}

/// A text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: write scheme and host, as in https://app.example.org, https://*.example.org, or *")]
pub struct NotAnOrigin(pub String);

/// Cookies for everybody: browsers refuse it, and it would hand every page what its visitor may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("credentials cannot be allowed to any origin (`*`): name the origins")]
pub struct CredentialsForAll;

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            methods: vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE],
            headers: Some(vec![
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                super::keys::API_KEY,
                HeaderName::from_static("idempotency-key"),
            ]),
            expose: Vec::new(),
            credentials: false,
            max_age: Duration::from_secs(600),
        }
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let wrong = || NotAnOrigin(text.to_owned());
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") {
            return Err(wrong());
        }
        let authority = match (scheme, authority.rsplit_once(':')) {
            ("http", Some((host, "80"))) | ("https", Some((host, "443"))) => host,
            _ => authority,
        };
        let scheme = format!("{scheme}://");
        if let Some(domain) = authority.strip_prefix('*') {
            // `*.org` would trust everybody who can register a name.
            let enough = domain.starts_with('.') && domain[1..].contains('.') && is_authority(&domain[1..]);
            return if enough { Ok(Self::Below { scheme, domain: domain.to_owned() }) } else { Err(wrong()) };
        }
        if is_authority(authority) { Ok(Self::Exact(format!("{scheme}{authority}"))) } else { Err(wrong()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, domain } => write!(f, "{scheme}*{domain}"),
        }
    }
}

/// A host with or without a port, and nothing else.
fn is_authority(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    plain && text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.host().is_empty())
}

impl Origin {
    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::Below { scheme, domain } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|authority| authority.strip_suffix(domain.as_str()))
                .is_some_and(|label| !label.is_empty() && is_authority(label) && !label.contains(':')),
        }
    }
}

/// The rules as they are applied: header values are made once.
#[derive(Debug)]
pub(crate) struct Rules {
    cors: Cors,
    any: bool,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// What an answer says about its origin.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    origin: Option<HeaderValue>,
    credentials: bool,
    expose: Option<HeaderValue>,
    varies: bool,
}

const OWNED: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// The longest list of header names that a preflight is answered with when every name is allowed.
const ASKED_MAX: usize = 4096;

impl Rules {
    pub(crate) fn new(cors: Cors) -> Result<Self, CredentialsForAll> {
        let any = cors.origins.contains(&Origin::Any);
        if any && cors.credentials {
            return Err(CredentialsForAll);
        }
        let methods = list(cors.methods.iter().map(Method::as_str)).expect("methods are tokens");
        let names = |names: &[HeaderName]| list(names.iter().map(HeaderName::as_str)).expect("names are tokens");
        let headers = cors.headers.as_deref().map(names);
        let expose = Some(names(&cors.expose)).filter(|list| !list.is_empty());
        let max_age = HeaderValue::from(cors.max_age.as_secs());
        Ok(Self { any, methods, headers, expose, max_age, cors })
    }

    /// What every answer to this request says, whoever made it.
    pub(crate) fn stamp(&self, request: &HeaderMap) -> Stamp {
        let origin = match origin(request) {
            Some(_) if self.any => Some(HeaderValue::from_static("*")),
            Some(origin) => self.allows(origin).then(|| origin.clone()),
            None => None,
        };
        let allowed = origin.is_some();
        Stamp {
            credentials: allowed && self.cors.credentials,
            expose: self.expose.clone().filter(|_| allowed),
            varies: !self.any,
            origin,
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.cors.origins.iter().any(|allowed| allowed.allows(origin))
    }

    /// The answer to a preflight; `None` when the request is none.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Result<Response<()>, Cause>> {
        let asked = request.headers();
        let is_one = request.method() == Method::OPTIONS && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_one {
            return None;
        }
        let from = origin(asked)?;
        if !self.any && !self.allows(from) {
            return Some(Err(Cause::OriginRefused));
        }
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = self.headers.clone().or_else(|| wanted.filter(|wanted| is_list(wanted)).cloned());
        if let Some(allowed) = allowed.filter(|_| wanted.is_some()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        let varies = "access-control-request-method, access-control-request-headers";
        headers.append(header::VARY, HeaderValue::from_static(varies));
        Some(Ok(response))
    }
}

impl Stamp {
    /// Says it. What a service said about origins is replaced; of a preflight's answer the rest is kept.
    pub(crate) fn put(self, headers: &mut HeaderMap, preflight: bool) {
        if !preflight {
            for name in OWNED {
                headers.remove(name);
            }
        }
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
        }
    }
}

/// The one origin of a request. Two are none: nobody knows which of them a browser wrote.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    origins.next().filter(|_| origins.next().is_none())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&names.collect::<Vec<_>>().join(", "))
}

/// A list of header names, short enough to be said back.
fn is_list(value: &HeaderValue) -> bool {
    value.len() <= ASKED_MAX
        && value
            .to_str()
            .is_ok_and(|text| text.split(',').all(|name| HeaderName::from_bytes(name.trim().as_bytes()).is_ok()))
}

#[cfg(test)]
mod tests;
