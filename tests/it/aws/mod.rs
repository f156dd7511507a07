//! AWS: against the emulator, and a real Postgres that stands for the cluster.

mod harness;
mod login;
mod server;
mod tokens;
mod tunnels;
