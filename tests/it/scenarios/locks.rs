//! Several hands at once: applies that exclude each other, runs that are killed or interrupted, and other people's SQL.

use std::{process::Stdio, time::Duration};

use sqlx::PgConnection;
use tokio::{process::Child, time::sleep};

use crate::support::sandbox::{Sandbox, sql};

/// An apply that runs until a session lets go of a table.
pub(super) struct Slow {
    pub(super) sandbox: Sandbox,
    blocker: PgConnection,
}

impl Slow {
    pub(super) async fn new(major: &str) -> Self {
        Self::with(major, "", Vec::new()).await
    }

    /// `head` is what the environment says besides; the variables are those of every run.
    pub(super) async fn with(major: &str, head: &str, variables: Vec<(&'static str, String)>) -> Self {
        let mut sandbox =
            Sandbox::new(major, &format!("{head}\nservices: {{orders: {{}}}}\npeople: {{ana: {{}}}}"));
        sandbox.variables = variables;
        sandbox.apply();
        sandbox
            .can("svc_orders_migrator", "orders", &["CREATE TABLE t (id int); CREATE TABLE u (id int)"])
            .await;
        let blocker = sandbox.superuser("orders").await;
        Self { sandbox, blocker }
    }

    /// Drifts, so that an apply has to wait for the table, and starts one.
    pub(super) async fn start(&mut self) -> Child {
        self.start_with(&[]).await
    }

    pub(super) async fn start_with(&mut self, flags: &[&str]) -> Child {
        self.sandbox.by_superuser("orders", "ALTER TABLE app.t OWNER TO dev_ana").await;
        sql(&mut self.blocker, "BEGIN; LOCK TABLE app.t IN ACCESS SHARE MODE").await.unwrap();
        let mut command = self.sandbox.command(&["apply", "--auto-approve"]);
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        for _ in 0..200 {
            if self.sandbox.value("orders", waits).await != "0" {
                return child;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the apply does not wait for the table");
    }

    pub(super) async fn let_go(&mut self) {
        sql(&mut self.blocker, "ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
async fn two_applies() {
    let mut slow = Slow::new("17").await;
    let first = slow.start().await;
    let refused = slow.sandbox.infra(&["apply", "--auto-approve"]).expect(5);
    assert!(refused.stderr.contains("locked by another run: infra apply -e local"), "{}", refused.stderr);
    let pid = first.id().unwrap().to_string();
    assert!(refused.stderr.contains(&format!("process {pid}")), "{}", refused.stderr);
    // A plan needs no lock.
    assert_eq!(slow.sandbox.changes().len(), 1);
    let patient = slow.sandbox.command(&["apply", "--auto-approve", "--lock-timeout=60s"]);
    let patient = tokio::process::Command::from(patient).kill_on_drop(true).spawn().unwrap();
    sleep(Duration::from_millis(300)).await;
    slow.let_go().await;
    let first = first.wait_with_output().await.unwrap();
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(patient.wait_with_output().await.unwrap().status.code(), Some(0));
    slow.sandbox.settled();

    // Killed, it holds nothing: neither the file nor anything in the server.
    let mut killed = slow.start().await;
    killed.kill().await.unwrap();
    slow.let_go().await;
    slow.sandbox.infra(&["apply", "--auto-approve", "--lock-timeout=10s"]).expect(0);
    slow.sandbox.settled();

    // Interrupted, it finishes what runs, accounts for it and lets go; the next one does the rest.
    let interrupted = slow.start().await;
    let pid = nix::unistd::Pid::from_raw(interrupted.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    sleep(Duration::from_millis(300)).await;
    slow.let_go().await;
    let ended = interrupted.wait_with_output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(130), "{out}{err}");
    assert!(err.contains("Interrupt received."), "{err}");
    assert!(out.contains("Resources:"), "{out}");
    slow.sandbox.apply();
    slow.sandbox.settled();
}

/// The lock in the server keeps away who has another file system.
#[tokio::test]
async fn the_lock_in_the_server() {
    let sandbox = Sandbox::new("15", "services: {orders: {}}");
    sandbox.apply();
    sandbox.write("services: {orders: {connection_limit: 9}}");
    let mut other = sandbox.connect("infra_admin", "postgres").await.unwrap();
    let take = "SET application_name = 'infra apply -e local by somebody else';
                SELECT pg_advisory_lock(hashtextextended('infra/apply', 0))";
    sql(&mut other, take).await.unwrap();
    let refused = sandbox.infra(&["apply", "--auto-approve"]).expect(5);
    assert!(refused.stderr.contains("infra apply -e local by somebody else"), "{}", refused.stderr);
    let patient = sandbox.command(&["apply", "--auto-approve", "--lock-timeout=60s"]);
    let patient = tokio::process::Command::from(patient).kill_on_drop(true).spawn().unwrap();
    sleep(Duration::from_millis(700)).await;
    sql(&mut other, "SELECT pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(patient.wait_with_output().await.unwrap().status.code(), Some(0));
    sandbox.settled();
}

/// Grants and migrations of others on the very objects that an apply changes: each gives way, none is lost.
async fn crowded(major: &str) {
    let sandbox = Sandbox::new(major, "services: {orders: {}}\npeople: {ana: {}, boris: {}}");
    sandbox.apply();
    sandbox.can("svc_orders_migrator", "orders", &["CREATE TABLE t (id int)"]).await;
    for round in 0..3 {
        let drift = "GRANT SELECT ON app.t TO dev_ana; GRANT CONNECT ON DATABASE orders TO dev_ana;
                     ALTER DATABASE orders SET work_mem = '9MB'; ALTER ROLE svc_orders_app CONNECTION LIMIT 3;
                     GRANT CREATE ON SCHEMA app TO svc_orders_rw; SET ROLE infra_admin; GRANT svc_orders_ro TO dev_ana";
        sandbox.by_superuser("orders", drift).await;
        let mut sessions = Vec::new();
        for _ in 0..2 {
            sessions.push(sandbox.superuser("orders").await);
        }
        let run = sandbox.command(&["apply", "--auto-approve"]);
        let run = tokio::process::Command::from(run).kill_on_drop(true).output();
        // Leaves everything as it was: what it grants it revokes.
        let noise = async {
            let mut others: Vec<_> = sessions.iter_mut().collect();
            loop {
                for (number, session) in others.iter_mut().enumerate() {
                    let statements = format!(
                        "BEGIN; GRANT UPDATE ON app.t TO dev_boris; REVOKE UPDATE ON app.t FROM dev_boris;
                         GRANT TEMPORARY ON DATABASE orders TO dev_boris; REVOKE TEMPORARY ON DATABASE orders FROM dev_boris;
                         ALTER TABLE app.t ADD COLUMN c{number} int; ALTER TABLE app.t DROP COLUMN c{number}; COMMIT"
                    );
                    if sql(session, &statements).await.is_err() {
                        sql(session, "ROLLBACK").await.unwrap();
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::select! {
            ended = run => ended.unwrap(),
            () = noise => unreachable!(),
        };
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(0), "round {round}: {err}{out}");
        drop(sessions);
        sandbox.settled();
    }
}

#[tokio::test]
async fn crowded_15() {
    crowded("15").await;
}

#[tokio::test]
async fn crowded_18() {
    crowded("18").await;
}
