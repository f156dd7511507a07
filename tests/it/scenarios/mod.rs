//! What happens to an environment in its life: services, people and their rights come, change and go; hands drift.

mod brown_field;
mod drift;
mod guards;
mod history;
mod hostile;
mod locks;
mod people;
mod removal;
mod saved;
mod services;

use serde_json::Value;

use crate::support::sandbox::Sandbox;

/// One change of a plan.
pub(super) struct Change {
    pub(super) before: Value,
    pub(super) after: Value,
}

/// The plan has exactly this change.
#[track_caller]
pub(super) fn only_change(sandbox: &Sandbox, address: &str, action: &str) -> Change {
    let plan = sandbox.plan();
    let changes = plan["resource_changes"].as_array().unwrap();
    let all: Vec<String> = changes.iter().map(|c| format!("{} {}", c["address"], c["change"])).collect();
    assert_eq!(changes.len(), 1, "expected only {address}, but:\n{}", all.join("\n"));
    let change = &changes[0];
    assert_eq!(change["address"], address, "{}", all.join("\n"));
    assert_eq!(change["change"]["actions"], serde_json::json!([action]));
    Change { before: change["change"]["before"].clone(), after: change["change"]["after"].clone() }
}

/// Held objects of a plan: address, reason and message.
pub(super) fn held(plan: &Value) -> Vec<(String, String, String)> {
    let text = |held: &Value, field: &str| held[field].as_str().unwrap().to_owned();
    let held = plan["held"].as_array().unwrap().iter();
    held.map(|h| (text(h, "address"), text(h, "reason"), text(h, "message"))).collect()
}

impl Sandbox {
    /// This login may.
    #[track_caller]
    pub(super) fn can(&self, user: &str, database: &str, statements: &[&str]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            for statement in statements {
                if let Err(error) = self.sql(user, database, statement).await {
                    panic!("{place}: {user} in {database}: {statement}: {error}");
                }
            }
        }
    }

    /// This login may not, and for want of a right.
    #[track_caller]
    pub(super) fn cannot(&self, user: &str, database: &str, statements: &[&str]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            for statement in statements {
                let error = match self.sql(user, database, statement).await {
                    Ok(rows) => panic!("{place}: {user} in {database} may: {statement}: {rows:?}"),
                    Err(error) => error,
                };
                let words = ["permission denied", "must be owner", "must be able to SET ROLE"];
                assert!(words.iter().any(|w| error.contains(w)), "{place}: {user}: {statement}: {error}");
            }
        }
    }

    /// This login may not connect.
    #[track_caller]
    pub(super) fn shut_out(&self, user: &str, database: &str) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            match self.connect(user, database).await {
                Ok(_) => panic!("{place}: {user} can connect to {database}"),
                Err(error) => error.to_string(),
            }
        }
    }

    /// One value, asked by the admin.
    pub(super) async fn value(&self, database: &str, query: &str) -> String {
        let rows = self.sql("infra_admin", database, query).await.unwrap();
        rows.into_iter().flatten().next().flatten().unwrap_or_default()
    }

    /// Statements by the bootstrap superuser.
    pub(super) async fn by_superuser(&self, database: &str, statements: &str) {
        let mut connection = self.superuser(database).await;
        if let Err(error) = crate::support::sandbox::sql(&mut connection, statements).await {
            panic!("{statements}: {error}");
        }
    }
}
