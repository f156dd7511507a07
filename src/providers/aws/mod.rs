//! AWS.

pub mod token;
