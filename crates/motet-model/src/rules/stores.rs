//! A store in PostgreSQL needs a server.

use super::Subject;
use crate::{code, finding::Finding, system::StoreEngine};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let written = subject.tree.at(&["engines", "stores", "postgres"]).is_some();
    if written || subject.system.engines.stores.postgres.is_some() {
        return;
    }
    for (name, service) in &subject.system.services {
        if service.store.as_ref().is_some_and(|store| store.engine == StoreEngine::Postgres) {
            findings.push(
                Finding::error(
                    code::NO_STORE_SERVER,
                    format!("`{name}` has a store in PostgreSQL, and no server is named"),
                )
                .at(subject.place(&["services", name.as_str(), "store", "postgres"]), "on which server?")
                .help(concat!(
                    "name a server, with the URL in a variable:\n\n",
                    "  engines:\n",
                    "    stores: { postgres: { url: \"${POSTGRES_ADMIN_URL}\" } }\n\n",
                    "or keep the data in a file: `store: { sqlite: {} }`"
                )),
            );
        }
    }
}
