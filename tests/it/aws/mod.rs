//! What runs on AWS: against an emulator of it, and real Postgres servers that stand for the clusters.

mod account;
mod adoption;
mod attributes;
mod connect;
mod digest;
mod doctor;
mod drift;
mod faults;
mod guards;
mod harness;
mod iam;
mod killed;
mod login;
mod many;
mod mongo;
mod removal;
mod scheduled;
mod served;
mod server;
mod tokens;
mod tunnels;
mod whole;
mod world;
