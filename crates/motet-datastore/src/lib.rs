//! Databases that belong to one service each: provisioned, migrated, backed up, kept apart.
