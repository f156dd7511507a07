//! The one integration-test binary. `sh tests/run.sh` gets the servers it needs and runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may end by panicking"
)]

mod adopting;
mod aws;
mod backups;
mod cli;
mod comment;
mod config;
mod dependencies;
mod doctor;
mod documentation;
mod everyday;
mod examples;
mod first_apply;
mod floors;
mod fmt;
mod killed;
mod ledger;
mod local;
mod mongo;
mod mongo_kinds;
mod pages;
mod scenarios;
mod shell;
mod support;
mod verify;
