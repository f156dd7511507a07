//! Snapshots by policy, on real replica sets: what is due, what goes, and what the catalogue says of it.

mod apply;
mod bucket;
mod cron;
mod project;
mod trouble;
