//! SIGKILL behind every single statement: the next run goes on from what it finds and comes to the same end, and nobody
//! may ever do more than at the beginning or at the end.

mod proxy;
mod world;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{local::processes_under, sandbox::Sandbox};
use proxy::{Ended, Killed};
use world::{State, World, difference};

/// So many services, with one of everything among them.
fn services(count: usize) -> String {
    let mut yaml = "people: {ana: {}, boris: {}}
developer_groups:
  backend: {members: [ana, boris], services: all, access: read-write}
  finance: {members: [boris], services: [service-1, service-2], access: read-only}
services:
"
    .to_owned();
    for number in 1..=count {
        let what = match number {
            2 => "extensions: [pgcrypto], settings: {statement_timeout: 30s}",
            3 => "connection_limit: 40",
            _ => "",
        };
        writeln!(yaml, "  service-{number}: {{{what}}}").unwrap();
    }
    yaml
}

/// In no state may anybody do what he may neither at the beginning nor at the end.
#[track_caller]
fn never_more(states: &[(Killed, State)], beginning: &State, end: &State) {
    let mut faults: Vec<String> = Vec::new();
    for (killed, state) in states {
        let more = state.rights.iter().filter(|right| !end.rights.contains(*right));
        let more: Vec<&String> = more.filter(|right| !beginning.rights.contains(*right)).collect();
        if !more.is_empty() {
            faults.push(format!("after {}: {more:#?}", killed.statement));
        }
    }
    assert!(faults.is_empty(), "{} states grant too much, such as\n{}", faults.len(), faults[0]);
}

/// Nobody but whoever is named may connect to a database that does.
#[track_caller]
fn never_open_to_all(states: &[(Killed, State)]) {
    for (killed, state) in states {
        let open = state.rights.iter().find(|right| {
            right.starts_with("database ") && right.contains(": PUBLIC may ") && !right.contains("template1")
        });
        assert_eq!(open, None, "after {}", killed.statement);
    }
}

#[track_caller]
fn same(world: &World, end: &State) {
    let differences = difference(end, &world.state());
    assert!(differences.is_empty(), "{differences:#?}");
}

/// The end that nobody disturbed.
fn undisturbed(major: &str, yamls: &[&str], between: impl Fn(&World)) -> (State, Vec<String>) {
    let world = World::new(major);
    let mut statements = Vec::new();
    for (at, yaml) in yamls.iter().enumerate() {
        if at > 0 {
            between(&world);
        }
        world.sandbox.write(yaml);
        statements = world.apply_all();
    }
    world.sandbox.settled();
    (world.state(), statements)
}

#[test]
fn after_every_statement_of_an_apply() {
    let yaml = services(20);
    let (end, statements) = undisturbed("17", &[&yaml], |_| ());
    let world = World::new("17").keeping_sessions();
    let beginning = world.state();
    world.sandbox.write(&yaml);
    let begun = Instant::now();
    let states = world.chain();
    eprintln!("{} kills in {:?}; {} statements undisturbed", states.len(), begun.elapsed(), statements.len());
    let killed: BTreeSet<&str> = states.iter().map(|(killed, _)| killed.statement.as_str()).collect();
    let missed: Vec<&String> = statements.iter().filter(|text| !killed.contains(text.as_str())).collect();
    assert!(missed.is_empty(), "never killed behind {missed:#?}");
    never_open_to_all(&states);
    never_more(&states, &beginning, &end);
    same(&world, &end);
    world.sandbox.settled();
}

/// The run after the kill is not disturbed: it alone comes to the end.
#[test]
fn the_next_run_finishes() {
    for major in ["15", "18"] {
        let yaml = services(3);
        let (end, statements) = undisturbed(major, &[&yaml], |_| ());
        let world = World::new(major);
        let beginning = world.state();
        world.sandbox.write(&yaml);
        // Wherever something lasts, and here and there in between.
        let lasts = |text: &str| text == "COMMIT" || text.starts_with("CREATE DATABASE");
        for budget in (1..=statements.len()).filter(|at| lasts(&statements[at - 1]) || at % 20 == 0) {
            let Ended::Killed(killed) = world.apply(Some(budget)) else { panic!("not killed at {budget}") };
            let states = [(killed, world.state())];
            never_open_to_all(&states);
            never_more(&states, &beginning, &end);
            world.apply_all();
            same(&world, &end);
            world.sandbox.settled();
            clear(&world);
            same(&world, &beginning);
        }
    }
}

/// Back to an empty cluster.
fn clear(world: &World) {
    let databases = "SELECT datname FROM pg_database WHERE datname LIKE 'service%'";
    for row in world.ask("postgres", databases) {
        world.ask("postgres", &format!("DROP DATABASE \"{}\"", row[0].as_ref().unwrap()));
    }
    world.ask(
        "postgres",
        "DO $$ BEGIN EXECUTE coalesce((SELECT 'DROP ROLE ' || string_agg(quote_ident(rolname), ', ') \
         FROM pg_roles WHERE rolname ~ '^(svc|dev)_'), 'SELECT 1'); END $$",
    );
}

/// From one declaration to another, killed everywhere in between.
fn from_one_to_another(major: &str, from: &str, to: &str, between: impl Fn(&World)) -> World {
    let (end, _) = undisturbed(major, &[from, to], &between);
    let world = World::new(major);
    world.sandbox.write(from);
    world.apply_all();
    between(&world);
    let beginning = world.state();
    world.sandbox.write(to);
    let states = world.chain();
    assert!(states.len() > 5, "{states:?}");
    never_open_to_all(&states);
    never_more(&states, &beginning, &end);
    same(&world, &end);
    world.sandbox.settled();
    world
}

#[test]
fn in_a_shared_database() {
    let services = "services: {orders: {extensions: [pgcrypto]}, billing: {}}";
    from_one_to_another("16", "isolation: schema", &format!("isolation: schema\n{services}"), |_| ());
}

#[test]
fn while_a_service_is_retired() {
    for major in ["15", "17"] {
        let to = "services: {orders: {}}\nremoved: {services: {billing: {data: keep}}}";
        from_one_to_another(major, "services: {orders: {}, billing: {}}", to, |_| ());
    }
}

#[test]
fn while_a_service_is_dropped() {
    let stay = "services: {orders: {}, stock: {}, mail: {}";
    let to = format!("{stay}}}\nremoved: {{services: {{billing: {{data: drop}}}}}}");
    from_one_to_another("17", &format!("{stay}, billing: {{}}}}"), &to, |_| ());
}

#[test]
fn while_a_retired_service_comes_back() {
    let (from, gone) = ("services: {orders: {}, billing: {}}", "services: {orders: {}}");
    let retired = format!("{gone}\nremoved: {{services: {{billing: {{data: keep}}}}}}");
    from_one_to_another("17", from, from, |world| {
        world.sandbox.write(&retired);
        world.apply_all();
    });
}

#[test]
fn while_a_person_leaves_who_owns_things() {
    let people = |names: &str| {
        format!(
            "services: {{orders: {{}}, billing: {{}}}}\npeople: {{{names}}}\n\
             developer_groups: {{backend: {{members: [boris], services: all, access: read-write}}}}\n"
        )
    };
    let everybody = people("ana: {}, boris: {}").replace("[boris]", "[ana, boris]");
    for major in ["15", "17"] {
        let world = from_one_to_another(major, &everybody, &people("boris: {}"), |world| {
            assert_eq!(world.log_in("dev_ana", "orders"), Ok(()));
            for database in ["orders", "billing"] {
                world.ask(
                    database,
                    "CREATE TABLE app.hers (id serial); ALTER TABLE app.hers OWNER TO dev_ana; \
                     GRANT SELECT ON app.hers TO dev_boris",
                );
            }
        });
        assert!(world.log_in("dev_ana", "orders").unwrap_err().contains("does not exist"));
    }
}

/// There is no statement to count here: the server itself goes. It may stand still or be gone, and the next run ends it.
#[test]
fn while_everything_is_destroyed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sandbox = Sandbox::new("17", "services: {orders: {}}");
    for milliseconds in [5, 30, 60, 120, 200] {
        let _ = sandbox.apply();
        // Somebody is at work there.
        let session = runtime.block_on(sandbox.superuser("orders"));
        let mut destroy = sandbox.command(&["destroy", "--auto-approve"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        kill(Pid::from_raw(destroy.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        destroy.wait().unwrap();
        let _ = sandbox.infra(&["destroy", "--auto-approve"]).expect(0);
        let left = sandbox.project.servers_folder();
        assert!(
            !left.exists(),
            "after {milliseconds} ms: {:?}",
            fs::read_dir(&left).unwrap().collect::<Vec<_>>()
        );
        assert_eq!(processes_under(&sandbox.project.base()), Vec::<i32>::new());
        drop(session);
    }
}
