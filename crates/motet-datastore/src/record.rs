//! The credentials file of a store: `<state>/stores/<service>/credentials.json`. It holds a password, so it is written only
//! through [`Place`], which makes it the owner's alone; and it says for whom it was made, because state directories get copied.

use crate::{
    Secret,
    error::{ForeignCredentials, MalformedCredentials, StoreError},
    place::Place,
};
use motet_kernel::name::{ServiceName, SystemName};
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const FILE: &str = "credentials.json";

const VERSION: u32 = 1;

/// What is remembered about the credentials of one service on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The server that knows the password: `host:port`.
    pub server: String,
    /// The name that the service logs in with.
    pub role: String,
    /// The database.
    pub database: String,
    /// The password.
    pub password: Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    system: String,
    service: String,
    server: String,
    role: String,
    database: String,
    password: String,
}

/// Reads the file; `None` if there is none. A file of another system or service is an error and not a missing file, since
/// replacing it would lock its owner out.
pub fn load(place: &Place, system: &SystemName, service: &ServiceName) -> Result<Option<Remembered>, StoreError> {
    let Some(content) = place.read(FILE)? else {
        return Ok(None);
    };
    let path = place.file(FILE);
    let malformed = |reason: String| MalformedCredentials { path: path.clone(), reason };
    // serde_json's own message can quote a value, and the value may be the password: only its position is kept.
    let document: Document = serde_json::from_slice(&content).map_err(|error| {
        malformed(format!("unexpected content at line {}, column {}", error.line(), error.column()))
    })?;
    if document.version != VERSION {
        return Err(malformed(format!("its version is {}, and this Motet writes {VERSION}", document.version)).into());
    }
    if document.system != system.as_str() || document.service != service.as_str() {
        let found = format!("service `{}` of system `{}`", document.service, document.system);
        return Err(
            ForeignCredentials { path, found, wanted: format!("service `{service}` of system `{system}`") }.into()
        );
    }
    let Document { server, role, database, password, .. } = document;
    Ok(Some(Remembered { server, role, database, password: Secret::new(password) }))
}

/// Writes the file, for the owner's eyes only, whole or not at all.
pub fn save(place: &Place, system: &SystemName, service: &ServiceName, it: &Remembered) -> Result<(), StoreError> {
    let document = Document {
        version: VERSION,
        system: system.to_string(),
        service: service.to_string(),
        server: it.server.clone(),
        role: it.role.clone(),
        database: it.database.clone(),
        password: it.password.expose().to_owned(),
    };
    let mut content = serde_json::to_vec_pretty(&document).expect("texts and a number are always JSON");
    content.push(b'\n');
    Ok(place.write(FILE, &content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (SystemName, ServiceName) {
        ("askdocs".parse().expect("name"), "library".parse().expect("name"))
    }

    #[test]
    fn what_is_saved_is_loaded_and_a_file_of_another_system_is_refused() {
        let state = tempfile::tempdir().expect("directory");
        let (system, service) = names();
        let place = Place::of(state.path(), &service);
        assert_eq!(load(&place, &system, &service).expect("none yet"), None);
        place.prepare().expect("prepared");
        let it = Remembered {
            server: "127.0.0.1:5432".into(),
            role: "askdocs_library".into(),
            database: "askdocs_library".into(),
            password: Secret::new("hush"),
        };
        save(&place, &system, &service, &it).expect("saved");
        assert_eq!(load(&place, &system, &service).expect("loaded"), Some(it));
        let other = "otherdocs".parse().expect("name");
        let error = load(&place, &other, &service).expect_err("another system's");
        assert!(error.to_string().contains("system `askdocs`"), "{error}");
    }

    #[test]
    fn an_error_about_a_broken_file_does_not_quote_the_password() {
        let state = tempfile::tempdir().expect("directory");
        let (system, service) = names();
        let place = Place::of(state.path(), &service);
        place.prepare().expect("prepared");
        place.write(FILE, br#"{"version": "hush-hush"}"#).expect("written");
        let error = load(&place, &system, &service).expect_err("malformed");
        assert!(!error.to_string().contains("hush"), "{error}");
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
