//! The stages of a request, one file each. [`crate::stack`] calls them in order and says why each stands where it does.

pub(crate) mod balance;
pub(crate) mod classify;
pub(crate) mod connect;
pub(crate) mod deadline;
pub(crate) mod fallback;
pub(crate) mod fault;
pub(crate) mod hedge;
pub(crate) mod limit;
pub(crate) mod rate;
pub(crate) mod record;
pub(crate) mod retry;
pub(crate) mod route;
pub(crate) mod trace;
pub(crate) mod upgrade;
