//! `infra` reconciles one environment with its YAML: Postgres clusters, what is inside them, and who may use it.
//!
//! ```text
//! environments/*.yaml --config--> Environment --compose--> Desired
//! the servers         --providers/resources: read--------> World
//! plan(&Desired, &World) -> Plan                 pure; no client, clock, randomness or log in it
//! guard(&Plan, &Limits) -> findings              pure
//! PlanView::of(&Plan) -> text | markdown | json | page  one view, short renderers
//! apply(&Plan, &Live<ReadWrite>, &observer)      decides nothing; every step is already in the plan
//! ```
//!
//! `ARCHITECTURE.md` says which module lies on which floor; a test holds it to that.

pub mod cli;
pub mod commands;
pub mod compose;
pub mod config;
pub mod engine;
pub mod model;
pub mod providers;
pub mod report;
pub mod resources;
pub mod snapshot;
pub mod ui;
