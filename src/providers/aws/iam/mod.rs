//! Roles of IAM: those under our path, and what is in them.

mod read;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

pub use write::NewRole;

use super::AwsError;
use crate::model::policy::Policy;

/// Roles of ours lie under it, in a folder for each environment.
pub const PATH: &str = "/infra/";
/// Their names begin so.
pub const PREFIX: &str = "infra-";

/// How long a new role may stay unknown to those parts of IAM that have not heard of it yet.
const PROPAGATION: Duration = Duration::from_mins(2);

/// What concerns us in an account's IAM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Iam {
    /// Under our path, or of a name that we would give.
    pub roles: Vec<Role>,
    /// The account's quotas and how much of them is used (`RolesQuota`, `Roles`), by AWS's names. Empty: not allowed to look.
    pub quotas: BTreeMap<String, i64>,
    /// Why the roles could not be read. Then `roles` says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub path: String,
    pub arn: String,
    pub trust: Policy,
    /// Inline policies by name.
    pub policies: BTreeMap<String, Policy>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
    pub permissions_boundary: Option<String>,
    /// Without those that AWS keeps for itself.
    pub tags: BTreeMap<String, String>,
}

/// Calls again what is refused for a reason that passes by itself. Throttling is not among them: the SDK sees to that.
async fn patiently<T>(
    first: Duration,
    limit: Duration,
    passes: impl Fn(&AwsError) -> bool,
    mut call: impl AsyncFnMut() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let begin = Instant::now();
    let mut pause = first;
    loop {
        match call().await {
            Err(error) if passes(&error) && begin.elapsed() + pause <= limit => {
                sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> AwsError {
        AwsError::Refused { action: "iam:X", code: code.into(), message: String::new(), request: None }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let begin = Instant::now();
        let mut calls = 0;
        let never = patiently(
            Duration::from_secs(1),
            PROPAGATION,
            |error| error.is(&["Busy"]),
            async || {
                calls += 1;
                Err::<(), _>(refused("Busy"))
            },
        );
        assert_eq!(never.await.unwrap_err().code(), Some("Busy"));
        assert_eq!((calls, begin.elapsed().as_secs()), (7, 63));

        let mut calls = 0;
        let passes = patiently(
            Duration::from_secs(1),
            PROPAGATION,
            |error| error.is(&["Busy"]),
            async || {
                calls += 1;
                if calls < 3 { Err(refused("Busy")) } else { Err::<(), _>(refused("Other")) }
            },
        );
        assert_eq!(passes.await.unwrap_err().code(), Some("Other"));
        assert_eq!(calls, 3);
    }
}
