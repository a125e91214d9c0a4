//! A store on a server needs a server.

use super::Subject;
use crate::{code, finding::Finding, system::StoreEngine};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let urls = &subject.system.engines.stores;
    for (name, service) in &subject.system.services {
        let (key, called, known) = match service.store.as_ref().map(|store| store.engine) {
            Some(StoreEngine::Postgres) => ("postgres", "PostgreSQL", &urls.postgres),
            Some(StoreEngine::Mysql) => ("mysql", "MySQL", &urls.mysql),
            Some(StoreEngine::Sqlite) | None => continue,
        };
        if known.is_some() || subject.tree.at(&["engines", "stores", key]).is_some() {
            continue;
        }
        findings.push(
            Finding::error(code::NO_STORE_SERVER, format!("`{name}` has a store in {called}, and no server is named"))
                .at(subject.place(&["services", name.as_str(), "store", key]), "on which server?")
                .help(format!(
                    "name a server, with the URL in a variable:\n\n  engines:\n    stores: {{ {key}: {{ url: \"${{{}_ADMIN_URL}}\" }} }}\n\n\
                     or keep the data in a file: `store: {{ sqlite: {{}} }}`",
                    key.to_ascii_uppercase()
                )),
        );
    }
}
