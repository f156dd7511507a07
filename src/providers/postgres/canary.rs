//! After a login has become a member of `rds_iam`: can the admin still log in?
//!
//! The admin made that login. From PostgreSQL 16 on that makes it a member of it in a way that a plain server counts
//! (`+rds_iam` in `pg_hba.conf`); Aurora must count it otherwise, but nobody says so. A session that is open can still
//! take back what shuts the door, so this looks before it is left.

use std::time::Duration;

use tokio::time::sleep;

use super::{Access, Endpoint, MAINTENANCE, Postgres, SqlError, connection::Session, quote::ident};
use crate::{model::causes, model::names::IAM, providers::ReadWrite};

/// Logins before it counts as locked out. The service that checks tokens turns some away when many come at once.
const TRIES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(500);

/// Who becomes a member of `rds_iam` by a statement, as it stands there.
pub(super) fn member(statement: &str) -> Option<&str> {
    let quoted = statement.strip_prefix(&format!("GRANT {} TO \"", ident(IAM)))?;
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        // A quote in a name stands doubled.
        if letter == '"' && letters.next().is_none_or(|(_, next)| next != '"') {
            let begin = statement.len() - quoted.len() - 1;
            return statement.get(begin..=begin + 1 + at);
        }
    }
    None
}

impl Postgres<ReadWrite> {
    /// Logs in anew after a transaction; if that fails, takes the memberships in `rds_iam` back that it gave.
    pub(super) async fn look_after(
        &self,
        endpoint: &Endpoint,
        session: &mut Session,
        statements: &[String],
    ) -> Result<(), SqlError> {
        let members: Vec<&str> = statements.iter().filter_map(|statement| member(statement)).collect();
        if members.is_empty() || !matches!(self.login.access, Access::Iam(_)) {
            return Ok(());
        }
        let Err(error) = self.log_in(endpoint).await else { return Ok(()) };
        let (user, why, names) = (&self.login.user, causes(&error), members.join(", "));
        let what = format!("{user} could no longer log in after {names} became a member of {IAM} ({why})");
        let revoke = format!("REVOKE {} FROM {names}", ident(IAM));
        let then = match session.execute(std::slice::from_ref(&revoke)).await {
            Err((_, error)) => {
                format!(
                    "that could not be taken back ({}): log in as the master and {revoke}",
                    causes(&error)
                )
            }
            Ok(()) => match self.log_in(endpoint).await {
                Ok(()) => "this was taken back, and it can log in again".into(),
                Err(error) => {
                    format!("this was taken back, but it still cannot log in ({})", causes(&error))
                }
            },
        };
        Err(SqlError::LockedOut(format!("{what}; {then}")))
    }

    async fn log_in(&self, endpoint: &Endpoint) -> Result<(), SqlError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Session::open(&self.login, endpoint, MAINTENANCE).await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => sleep(BETWEEN * tries).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_are_written() {
        assert_eq!(member("GRANT \"rds_iam\" TO \"svc_orders_app\""), Some("\"svc_orders_app\""));
        assert_eq!(
            member("GRANT \"rds_iam\" TO \"a\"\" WITH b\" WITH INHERIT TRUE"),
            Some("\"a\"\" WITH b\"")
        );
        assert_eq!(member("GRANT \"rds_iam\" TO \"é\""), Some("\"é\""));
        for other in [
            "GRANT \"dev\" TO \"ana\"",
            "REVOKE \"rds_iam\" FROM \"ana\"",
            "GRANT \"rds_iam\" TO CURRENT_USER",
            "GRANT \"rds_iam\" TO \"broken",
        ] {
            assert_eq!(member(other), None, "{other}");
        }
    }
}
