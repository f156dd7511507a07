//! The first capability, end to end: plan, apply, and an empty second plan, on every version of Postgres.

use crate::support::sandbox::Sandbox;

const ORDERS: &str = "
services:
  orders: {extensions: [pgcrypto], connection_limit: 40, settings: {statement_timeout: 30s}}
  billing: {}
people: {ana: {}, boris: {}}
developer_groups:
  backend: {members: [ana, boris], services: all, access: read-write}
  finance: {members: [boris], services: [billing], access: read-only}
";

fn from_nothing(major: &str, isolation: &str) {
    let sandbox = Sandbox::new(major, &format!("isolation: {isolation}\n{ORDERS}"));
    let changes = sandbox.changes();
    assert!(changes.iter().all(|(_, action)| action == "create"), "{changes:?}");
    let ran = sandbox.apply();
    assert!(
        ran.stdout.contains(&format!("Apply complete! Resources: {} added", changes.len())),
        "{}",
        ran.stdout
    );
    sandbox.settled();
}

macro_rules! on_each_version {
    ($($name:ident: $major:literal $isolation:literal;)*) => {
        $(#[test] fn $name() { from_nothing($major, $isolation); })*
    };
}

on_each_version! {
    databases_on_15: "15" "database";
    databases_on_16: "16" "database";
    databases_on_17: "17" "database";
    databases_on_18: "18" "database";
    schemas_on_15: "15" "schema";
    schemas_on_16: "16" "schema";
    schemas_on_17: "17" "schema";
    schemas_on_18: "18" "schema";
}
