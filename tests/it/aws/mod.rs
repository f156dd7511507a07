//! What runs on AWS: against an emulator of it, and real Postgres servers that stand for the clusters.

mod account;
mod attributes;
mod cloud;
mod faults;
mod harness;
mod iam;
mod killed;
mod login;
mod server;
mod tokens;
mod tunnels;
mod world;
