//! Instances, leases, health, and endpoint sets as watched facts.
