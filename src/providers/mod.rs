//! Thin clients. Each speaks to one system and knows nothing of plans.

pub mod postgres;

/// A client that cannot change anything: all that `infra plan` ever holds.
#[derive(Debug)]
pub struct ReadOnly;

/// A client that can. Made in one place, by `infra apply`.
#[derive(Debug)]
pub struct ReadWrite;
