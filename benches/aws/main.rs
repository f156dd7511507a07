//! A plan against an emulated account that answers 50 ms late, beside the longest chain of calls that must follow one
//! another: who we are, and then either all roles, or groups and what is inside of them.
//!
//! `cargo bench --bench aws` measures; RUNS=5 sets how often. See benches/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    reason = "a benchmark speaks, and may end by panicking; the tests' emulator can more than it needs"
)]

#[path = "../../tests/it/support/emulator.rs"]
mod emulator;

use std::{
    env,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};

use emulator::{Emulator, environment};
use serde_json::json;

const SERVICES: usize = 500;
const CLUSTERS: usize = 4;
const DELAY: u32 = 50;

/// The chain, by another client on a connection that is open already, as infra's are after the first call.
const CHAIN: &str = "
import time
sts, iam, rds = client('sts'), client('iam'), client('rds')
group = rds.describe_db_cluster_parameter_groups()['DBClusterParameterGroups'][0]['DBClusterParameterGroupArn']
sts.get_caller_identity()
iam.get_account_summary()
def took(*calls):
    begun = time.time()
    for call in calls:
        call()
    return time.time() - begun
who = sts.get_caller_identity
roles = lambda: list(iam.get_paginator('get_account_authorization_details').paginate(Filter=['Role'], MaxItems=1000))
inside = lambda: rds.list_tags_for_resource(ResourceName=group)
print(max(took(who, roles), took(who, rds.describe_db_cluster_parameter_groups, inside)))
";

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        return; // `cargo test --all-targets` runs this too
    }
    let runs: usize = env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let emulator = Emulator::start();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("environments/prod");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("environment.yaml"), yaml()).unwrap();
    let targets = ["--target=aurora_*", "--target=iam_*"];
    let made = infra(&emulator, folder.path(), &[&["apply", "--auto-approve", "-q"][..], &targets].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    emulator.settings(&json!({"delay_ms": DELAY}));
    println!(
        "{SERVICES} services, {CLUSTERS} clusters of 4 instances, every answer {DELAY} ms late, {runs} runs"
    );
    measure("nothing to change", &emulator, folder.path(), &targets, runs);
    measure("all inside of the clusters still to be made", &emulator, folder.path(), &["--summary"], runs);
}

fn measure(what: &str, emulator: &Emulator, folder: &Path, arguments: &[&str], runs: usize) {
    let (mut plans, mut chains, mut ratios, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..=runs {
        emulator.reset_calls();
        let begun = Instant::now();
        let plan = infra(emulator, folder, &[&["plan"], arguments].concat());
        let took = begun.elapsed().as_secs_f64();
        assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
        let made = emulator.calls().len();
        let chain: f64 = emulator.boto3(CHAIN).trim().parse().unwrap();
        // The first warms up what there is to warm.
        if run > 0 {
            plans.push(took);
            chains.push(chain);
            ratios.push(took / chain);
            calls.push(made);
        }
    }
    let [plan, chain] = [&mut plans, &mut chains].map(|figures| shown(figures, " s"));
    println!("{what}: infra {plan}, the chain {chain}, ratio {}; calls {calls:?}", shown(&mut ratios, ""));
}

fn yaml() -> String {
    let mut yaml = "platform: {aws: {account: \"111122223333\", region: eu-central-1}}\n\
        workload_identity: {irsa: {oidc_provider: oidc.eks.eu-central-1.amazonaws.com/id/ABC123}}\nclusters:\n"
        .to_owned();
    for cluster in 1..=CLUSTERS {
        writeln!(yaml, "  c{cluster}: {{engine_version: \"16\", instance_class: db.r6g.large, readers: 3, subnets: [subnet-a, subnet-b]}}").unwrap();
    }
    yaml += "services:\n";
    for service in 1..=SERVICES {
        let cluster = service % CLUSTERS + 1;
        writeln!(yaml, "  s{service}: {{service_account: shop/s{service}, cluster: c{cluster}}}").unwrap();
    }
    yaml
}

fn infra(emulator: &Emulator, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
    command.env_clear().envs(environment(&emulator.url())).env("PATH", "/usr/bin:/bin");
    command.env("INFRA_POLL_MILLISECONDS", "20").env("INFRA_ENV", "prod").env("HOME", folder);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// Median, and the extremes.
fn shown(figures: &mut [f64], unit: &str) -> String {
    figures.sort_by(f64::total_cmp);
    let (first, last) = (figures[0], figures[figures.len() - 1]);
    format!("{:.2}{unit} ({first:.2} to {last:.2})", figures[figures.len() / 2])
}
