//! The digest of a plan: what a reviewer approves, and what apply holds itself to.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Plan, Resource};

/// SHA-256 over the changes of a plan, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Digest(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a plan digest; expected the 64 hexadecimal digits that `infra plan` prints")]
pub struct BadDigest(String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(hex))
        } else {
            Err(BadDigest(text.into()))
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Covers the environment's name and every changing step: its address, its action, and both sides of it. Steps that
/// keep or hold, what is unmanaged, versions, times and endpoints do not count, so that only what was approved matters; nor
/// does what is made and deleted as time passes.
///
/// # Errors
/// When a resource cannot be serialised; approval by digest then fails closed.
pub fn digest<R: Resource>(environment: &str, plan: &Plan<R>) -> Result<Digest, serde_json::Error> {
    let mut changes = Vec::new();
    for step in plan.steps.iter().filter(|step| step.action.changes_anything() && !step.action.time_driven())
    {
        changes.push((step.address.as_str(), serde_json::to_value(&step.action)?));
    }
    changes.sort_by(|a, b| a.0.cmp(b.0));
    // Maps of `serde_json` are sorted by key, so equal values have equal bytes.
    let text = json!({"format": 1, "environment": environment, "changes": changes}).to_string();
    let hash = Sha256::digest(text.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in hash {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(Digest(hex))
}
