//! Snapshots of real replica sets, and what can go wrong with them.

mod command;
mod disk;
mod elections;
mod foreign;
mod harness;
mod late;
mod layouts;
mod members;
mod processes;
mod restored;
mod run;
mod signals;
mod users;
