//! `infra` beside the physical limit, in one run: the same questions and statements, sent by hand.
//!
//! `cargo bench --bench postgres` measures all; `-- small`, `-- plan`, `-- apply`, `-- far` a part of it. RUNS=5 sets
//! how often each is measured. See benches/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark speaks, and may end by panicking"
)]

mod project;
mod wire;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use project::{Project, names};
use wire::{Wire, at_once, delay};

const TABLES: usize = 50;
const ROUND_TRIP: Duration = Duration::from_millis(20);
const CLUSTER: &str = include_str!("../../src/providers/postgres/cluster.sql");
const DATABASE: &str = include_str!("../../src/providers/postgres/database.sql");

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return; // `cargo test --all-targets` runs this too
    }
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let runs = env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    if wanted("small") {
        small(runs);
    }
    if wanted("plan") {
        for services in [10, 50, 200] {
            plans(services, runs);
        }
    }
    if wanted("apply") {
        applies(200, runs.min(3), false);
    }
    if wanted("far") {
        applies(200, runs.min(2), true);
    }
}

/// Median, and the extremes.
fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn shown(times: &[Duration]) -> String {
    format!("{} s", spread(times.iter().map(Duration::as_secs_f64), 3))
}

/// Each run has its limit measured right after it, so the ratios are those of neighbours.
fn side_by_side(what: &str, infra: &[Duration], limit: &[Duration]) {
    let ratios = infra.iter().zip(limit).map(|(infra, limit)| infra.as_secs_f64() / limit.as_secs_f64());
    println!("{what}: infra {}, limit {}, ratio {}", shown(infra), shown(limit), spread(ratios, 2));
}

/// What needs no server.
fn small(runs: usize) {
    let project = Project::without_server();
    project.declare(1000);
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(project.infra(&["validate"], 0).time);
    }
    println!("validate, 1000 services: {}", shown(&all));
    project.declare(200);
    for arguments in
        [&["version"][..], &["--help"], &["validate"], &["config"], &["schema"], &["completion", "bash"]]
    {
        let first: Vec<_> = (0..runs).map(|_| project.infra(arguments, 0).first_output).collect();
        println!("first output of {arguments:?}, 200 services: {}", shown(&first));
    }
    for arguments in [&["plan"][..], &["apply"], &["show"], &["destroy"]] {
        let first: Vec<_> = (0..runs).map(|_| project.any_infra(arguments).first_output).collect();
        println!("first output of {arguments:?}, 200 services, no server: {}", shown(&first));
    }
}

/// Plans that find nothing to do.
fn plans(services: usize, runs: usize) {
    let project = Project::new();
    project.declare(services);
    project.infra(&["apply", "--auto-approve"], 0);
    let names = names(services);
    at_once(8, &names, |name| {
        let mut wire = Wire::open(project.port, &format!("svc_{name}_migrator"), name).unwrap();
        let mut tables = String::new();
        for table in 0..TABLES {
            writeln!(
                tables,
                "CREATE TABLE app.table_{table} (id bigint PRIMARY KEY, name text, at timestamptz);"
            )
            .unwrap();
        }
        wire.ask(&tables).unwrap();
        wire.close().unwrap();
    });
    plan(&format!("plan, {services} services"), &project, &names, 8, runs);
    let memory: Vec<f64> = (0..3).map(|_| project.memory(&["plan"])).collect();
    println!("plan, {services} services: peak memory {:.0} MB", memory.into_iter().fold(0.0, f64::max));
    let first: Vec<_> = (0..runs).map(|_| project.infra(&["plan"], 0).first_output).collect();
    println!("plan, {services} services: first output {}", shown(&first));

    delay(project.port, project.moved(), ROUND_TRIP);
    plan(&format!("plan, {services} services, 20 ms away"), &project, &names, 16, runs);
}

fn plan(what: &str, project: &Project, names: &[String], width: usize, runs: usize) {
    let (mut infra, mut limit) = (Vec::new(), Vec::new());
    // The first of each only warms the caches.
    for run in 0..=runs {
        let ran = project.infra(&["plan", "--detailed-exitcode"], 0);
        let begun = Instant::now();
        let mut wire = Wire::open(project.port, "infra_planner", "postgres").unwrap();
        wire.ask(CLUSTER).unwrap();
        wire.close().unwrap();
        at_once(width, names, |name| {
            let mut wire = Wire::open(project.port, "infra_planner", name).unwrap();
            wire.ask(DATABASE).unwrap();
            wire.close().unwrap();
        });
        if run > 0 {
            infra.push(ran.time);
            limit.push(begun.elapsed());
        }
    }
    side_by_side(what, &infra, &limit);
}

/// Everything from an empty server, each time a new one.
fn applies(services: usize, runs: usize, far: bool) {
    let (mut infra, mut by_psql, mut by_hand) = (Vec::new(), Vec::new(), Vec::new());
    let empty = || {
        let project = Project::new();
        project.declare(services);
        let scripts = Scripts::of(&project);
        if far {
            delay(project.port, project.moved(), ROUND_TRIP);
        }
        (project, scripts)
    };
    for _ in 0..runs {
        let (project, _) = empty();
        infra.push(project.infra(&["apply", "--auto-approve"], 0).time);
        drop(project);

        let (project, scripts) = empty();
        let begun = Instant::now();
        scripts.send(project.port);
        by_hand.push(begun.elapsed());
        // By hand or by us, it is the same.
        project.infra(&["plan", "--detailed-exitcode"], 0);
        drop(project);

        if !far {
            // Far away psql would only show that it waits for each statement.
            let (project, scripts) = empty();
            let begun = Instant::now();
            scripts.psql(project.port);
            by_psql.push(begun.elapsed());
        }
    }
    let what = format!("apply from nothing, {services} services{}", if far { ", 20 ms away" } else { "" });
    side_by_side(&format!("{what}, limit by messages"), &infra, &by_hand);
    if !far {
        side_by_side(&format!("{what}, limit by psql"), &infra, &by_psql);
        let (project, _) = empty();
        println!("{what}: peak memory {:.0} MB", project.memory(&["apply", "--auto-approve"]));
    }
}

thread_local! {
    /// One to the database `postgres` for each thread.
    static MAINTENANCE: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

/// The plan's own SQL, for psql.
struct Scripts {
    shared: String,
    databases: BTreeMap<String, String>,
}

impl Scripts {
    fn of(project: &Project) -> Self {
        let plan = project.plan();
        let changes: BTreeMap<&str, &serde_json::Value> =
            (plan["resource_changes"].as_array().unwrap().iter())
                .map(|change| (change["address"].as_str().unwrap(), change))
                .collect();
        let mut shared = String::from("BEGIN;\n");
        let mut databases: BTreeMap<String, String> = BTreeMap::new();
        for address in plan["order"].as_array().unwrap() {
            let address = address.as_str().unwrap();
            let Some(change) = changes.get(address) else { continue };
            let path = address.split_once('.').unwrap().1;
            let database = path.split('/').nth(1).unwrap();
            for effect in change["effects"].as_array().unwrap() {
                let effect = effect.as_str().unwrap();
                if address.starts_with("pg_role.") {
                    writeln!(shared, "{effect};").unwrap();
                    continue;
                }
                let script = databases.entry(database.to_owned()).or_default();
                writeln!(script, "{effect};").unwrap();
                if effect.starts_with("CREATE DATABASE") {
                    writeln!(script, "BEGIN;").unwrap();
                } else if effect.contains("ALLOW_CONNECTIONS true") {
                    writeln!(script, "COMMIT;\n\\connect {database}\nBEGIN;").unwrap();
                }
            }
        }
        shared += "COMMIT;\n";
        for script in databases.values_mut() {
            script.push_str("COMMIT;\n");
        }
        Self { shared, databases }
    }

    fn names(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    /// The shared part first, then eight databases at a time.
    fn psql(&self, port: u16) {
        psql(port, &self.shared);
        at_once(8, &self.names(), |name| psql(port, &self.databases[name]));
    }

    /// The same with nothing but the wire: each transaction is one message.
    fn send(&self, port: u16) {
        let mut wire = Wire::open(port, "infra_admin", "postgres").unwrap();
        wire.ask(&self.shared).unwrap();
        at_once(8, &self.names(), |name| {
            let (outside, inside) = self.databases[name].split_once("\\connect").unwrap();
            let (create, open) = outside.split_once('\n').unwrap();
            MAINTENANCE.with_borrow_mut(|kept| {
                let wire = kept.get_or_insert_with(|| Wire::open(port, "infra_admin", "postgres").unwrap());
                wire.ask(create).unwrap();
                wire.ask(open).unwrap();
            });
            let mut wire = Wire::open(port, "infra_admin", name).unwrap();
            wire.ask(inside.split_once('\n').unwrap().1).unwrap();
            wire.close().unwrap();
        });
    }
}

fn psql(port: u16, script: &str) {
    let mut psql = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "infra_admin",
            "-d",
            "postgres",
            "-f",
            "-",
        ])
        .args(["-p", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = psql.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(script.as_bytes()).unwrap());
    });
    assert!(psql.wait().unwrap().success());
}
