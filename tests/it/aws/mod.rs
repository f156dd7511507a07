//! AWS: against the emulator, and a real Postgres that stands for the cluster.

mod harness;
mod login;
mod stand_in;
mod tokens;
mod tunnels;
