//! Reconciles wanted services with running processes.
