//! What is refused: the exit code, what is said of it, and that the server sees not one write.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use infra::providers::{
    ReadWrite,
    postgres::{ADMIN, Access, Ending, Endpoint, Login, Place, Postgres, Routes, Script, SqlError, Task},
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::held;
use crate::support::sandbox::{Ran, Sandbox};

/// A server that logs every statement that changes something.
fn logging(major: &str, yaml: &str) -> Sandbox {
    let sandbox = Sandbox::new(major, "");
    declare(&sandbox, yaml);
    sandbox.apply();
    sandbox.settled();
    sandbox
}

fn declare(sandbox: &Sandbox, yaml: &str) {
    sandbox.write_raw(&format!(
        "platform: {{local: {{}}}}\nclusters:\n  main: {{engine_version: \"{}\", parameters: {{fsync: \"off\", log_statement: mod}}}}\n{yaml}",
        sandbox.major
    ));
}

async fn writes(sandbox: &Sandbox) -> Vec<String> {
    let servers = sandbox.project.servers().await;
    let log = fs::read_to_string(servers[0].folder.join("server.log")).unwrap();
    log.lines().filter(|line| line.contains("statement: ")).map(str::to_owned).collect()
}

/// An apply that is refused: nothing is written, and the plan says the same in JSON. Answers with the findings there.
#[track_caller]
fn refused(
    sandbox: &Sandbox,
    flags: &[&str],
    guard: &str,
    address: &str,
) -> impl Future<Output = (Ran, Value)> {
    let place = std::panic::Location::caller();
    async move {
        let before = writes(sandbox).await;
        assert!(!before.is_empty(), "the server logs nothing");
        let ran = sandbox.infra(&[&["apply", "--auto-approve"], flags].concat());
        assert_eq!(ran.code, 3, "{place}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(writes(sandbox).await, before, "{place}");
        let plan = sandbox.infra(&[&["plan", "--json"], flags].concat()).expect(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let found = plan["guards"].as_array().unwrap().iter().find(|one| one["guard"] == guard);
        let found = found.unwrap_or_else(|| panic!("{place}: {}", plan["guards"])).clone();
        assert!(found["addresses"].as_array().unwrap().contains(&json!(address)), "{place}: {found}");
        assert_eq!(plan["applyable"], false, "{place}");
        let text = sandbox.infra(&[&["plan"], flags].concat()).expect(0).stdout;
        for text in [&text, &ran.stderr] {
            assert!(text.contains(found["message"].as_str().unwrap()), "{place}: {text}");
        }
        let markdown = sandbox.infra(&[&["plan", "--markdown"], flags].concat()).expect(0).stdout;
        assert!(markdown.contains(address), "{place}: {markdown}");
        (ran, found)
    }
}

fn people(count: usize) -> String {
    let people: Vec<String> = (0..count).map(|number| format!("p{number}: {{}}")).collect();
    format!("people: {{{}}}\n", people.join(", "))
}

#[tokio::test]
async fn each_refuses_and_writes_nothing() {
    let services = "services: {orders: {}, billing: {}}\n";
    let sandbox = logging("17", &format!("{services}{}", people(12)));

    // More than 30 % of what there is.
    declare(&sandbox, &format!("{services}{}", people(1)));
    let (_, found) = refused(&sandbox, &[], "mass_destroy", "pg_role.main/dev_p7").await;
    assert_eq!(found["numbers"]["destroyed"], 11);
    assert_eq!(found["numbers"]["limit_percent"], 30);
    assert!(found["numbers"]["existing"].as_u64().unwrap() > 12, "{found}");
    declare(&sandbox, &format!("{services}{}", people(12)));

    // The mark of another environment; and all else, if that is wanted.
    let mark = sandbox.value("postgres", "SELECT shobj_description('dev_p0'::regrole, 'pg_authid')").await;
    let theirs = mark.replace("env=local", "env=test");
    assert_ne!(mark, theirs);
    sandbox.by_superuser("postgres", &format!("COMMENT ON ROLE dev_p0 IS '{theirs}'")).await;
    declare(
        &sandbox,
        &format!("services: {{orders: {{connection_limit: 9}}, billing: {{}}}}\n{}", people(12)),
    );
    let (ran, _) = refused(&sandbox, &[], "other_environment", "pg_role.main/dev_p0").await;
    assert!(ran.stderr.contains("carries the mark of environment test"), "{}", ran.stderr);
    sandbox.infra(&["apply", "--auto-approve", "--exclude=pg_role.main/dev_p0"]).expect(0);
    sandbox.by_superuser("postgres", &format!("COMMENT ON ROLE dev_p0 IS '{mark}'")).await;
    sandbox.settled();

    // The admin locked out: what leads to it was made by hand, and what would mend it is left out.
    sandbox.by_superuser("postgres", "GRANT rds_iam TO svc_orders_owner").await;
    let flags = ["--exclude=pg_role.main/svc_orders_owner"];
    let (ran, _) = refused(&sandbox, &flags, "admin_lockout", "pg_role.main/svc_orders_owner").await;
    assert!(ran.stderr.contains("which leads to rds_iam"), "{}", ran.stderr);
    sandbox.by_superuser("postgres", "REVOKE rds_iam FROM svc_orders_owner").await;
    sandbox.settled();

    // What bears data and left the YAML is held; nothing of it is touched.
    declare(&sandbox, &format!("services: {{orders: {{connection_limit: 9}}}}\n{}", people(12)));
    let before = writes(&sandbox).await;
    let held = held(&sandbox.plan());
    assert!(
        held.iter()
            .any(|(address, reason, _)| address == "pg_database.main/billing" && reason == "undeclared")
    );
    sandbox.infra(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(writes(&sandbox).await, before);
}

#[tokio::test]
async fn protection_refuses_and_writes_nothing() {
    let yaml = |people: &str| format!("protect: true\nservices: {{orders: {{}}}}\npeople: {{{people}}}\n");
    let sandbox = logging("16", &yaml("ana: {}, boris: {}"));
    declare(&sandbox, &yaml("boris: {}"));
    let (ran, _) = refused(&sandbox, &[], "protected_destroy", "pg_role.main/dev_ana").await;
    assert!(ran.stderr.contains("the environment is protected"), "{}", ran.stderr);
    refused(&sandbox, &["--allow-destroy=all"], "protected_destroy", "pg_role.main/dev_ana").await;
    // It stands on the object too.
    declare(&sandbox, &yaml("boris: {}").replace("protect: true", "protect: false"));
    let (ran, _) = refused(&sandbox, &[], "protected_destroy", "pg_role.main/dev_ana").await;
    assert!(ran.stderr.contains("its mark protects it"), "{}", ran.stderr);
}

/// Leads connections to whichever port is told.
async fn way(port: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    own
}

/// A cluster that becomes another one while an apply is at work gets no write.
#[tokio::test]
async fn a_cluster_that_is_another_by_now() {
    let (ours, other) = (Sandbox::new("17", ""), Sandbox::new("17", ""));
    ours.apply();
    other.apply();
    let leads_to = Arc::new(AtomicU16::new(ours.port().await));
    let endpoint = Endpoint::parse("main", &format!("127.0.0.1:{}", way(leads_to.clone()).await)).unwrap();
    let postgres = Postgres::<ReadWrite>::new(Login {
        user: ADMIN.into(),
        application: "a test".into(),
        statement_timeout: Duration::from_secs(10),
        read_only: false,
        access: Access::Trust,
        routes: Routes::default(),
    });
    let lock = postgres.lock("main", &endpoint, Duration::ZERO).await.unwrap();
    let place = Place::Database("postgres".into());
    let make = |name: &str| {
        vec![Task { script: Script::transaction(place.clone(), vec![format!("CREATE ROLE {name}")]) }]
    };
    let ended = postgres.run(&endpoint, &make("before")).await;
    assert!(matches!(ended[..], [Ending::Done]), "{ended:?}");

    leads_to.store(other.port().await, Ordering::SeqCst);
    let ended = postgres.run(&endpoint, &make("after")).await;
    let [Ending::Failed(error @ SqlError::Elsewhere { .. })] = &ended[..] else { panic!("{ended:?}") };
    assert!(error.to_string().contains("is not the one that cluster main was when it was locked"), "{error}");
    let made = "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname IN ('before', 'after')";
    assert_eq!(ours.value("postgres", made).await, "before");
    assert_eq!(other.value("postgres", made).await, "");
    // Nor is one written to whose lock is gone.
    leads_to.store(ours.port().await, Ordering::SeqCst);
    lock.release().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ended = postgres.run(&endpoint, &make("after")).await;
    assert!(matches!(ended[..], [Ending::Failed(SqlError::Elsewhere { .. })]), "{ended:?}");
    postgres.close().await;
}
