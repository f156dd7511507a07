//! Thin clients of the outside world. Each speaks to one system; none knows of plans.

pub mod aws;
pub mod forge;
mod http;
pub mod ledger;
pub mod local;
pub mod mongo;
pub mod postgres;

/// Marks a client that can only read: it has no method that writes, so `infra plan` cannot change anything.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly;

/// Marks a client that may write. Made in one place, by `infra apply`.
#[derive(Clone, Copy, Debug)]
pub struct ReadWrite;

/// Marks a client that may try anything, as anybody, and whose every transaction is rolled back. Made by `infra verify`.
#[derive(Clone, Copy, Debug)]
pub struct TryOnly;
