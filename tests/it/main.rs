//! The one integration-test binary. `sh tests/run.sh` gets the servers it needs and runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may end by panicking"
)]

mod aws;
mod cli;
mod config;
mod dependencies;
mod documentation;
mod first_apply;
mod floors;
mod killed;
mod local;
mod scenarios;
mod support;
mod verify;
