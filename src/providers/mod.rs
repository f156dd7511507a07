//! Thin clients of the outside world. Each knows how to talk, none knows what ought to be.

pub mod local;

/// Marks a client that can only read: it has no method that writes, so `infra plan` cannot change anything.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly;

/// Marks a client that may write; only `infra apply` and its kin are handed one.
#[derive(Clone, Copy, Debug)]
pub struct ReadWrite;
