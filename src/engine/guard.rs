//! Refusals: what a plan must not do unless a person has said so by name. Pure; each names what tripped it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Hold, Plan, Resource};
use crate::model::Address;

/// A mass change is more than this share of at least [`FEW`] existing resources (octoDNS draws the same line).
const SHARE_PERCENT: usize = 30;
const FEW: usize = 10;

/// What may be destroyed.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The environment says `protect: true`.
    pub protect: bool,
    /// Addresses given with `--allow-destroy`; `all` outside protected environments.
    pub allow_destroy: BTreeSet<String>,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable name for scripts: `protected_destroy`, `mass_destroy`, ...
    pub guard: String,
    pub message: String,
    /// How to go on, if that is what is wanted.
    pub hint: String,
    pub addresses: Vec<Address>,
    /// What was counted, and what it may be at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u64>,
}

impl Finding {
    pub fn new(guard: &str, message: String, hint: impl Into<String>, addresses: Vec<Address>) -> Self {
        Self { guard: guard.into(), message, hint: hint.into(), addresses, numbers: BTreeMap::new() }
    }

    #[must_use]
    pub fn counting(mut self, numbers: &[(&str, u64)]) -> Self {
        self.numbers = numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        self
    }
}

/// All refusals of a plan; empty means that it may be applied. What time takes away, the policy has said already.
pub fn guard<R: Resource>(plan: &Plan<R>, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let destroyed: Vec<_> =
        (plan.steps.iter()).filter(|step| step.action.destroys() && !step.action.time_driven()).collect();
    let named = |address: &Address| limits.allow_destroy.contains(address.as_str());

    for step in &destroyed {
        if (limits.protect || step.protected) && !named(&step.address) {
            let whence = if limits.protect { "the environment is protected" } else { "its mark protects it" };
            findings.push(Finding::new(
                "protected_destroy",
                format!("{} would be destroyed, but {whence}", step.address),
                format!("if it must go: --allow-destroy={}", step.address),
                vec![step.address.clone()],
            ));
        }
    }
    let all = limits.allow_destroy.contains("all") && !limits.protect;
    let unnamed: Vec<Address> =
        destroyed.iter().map(|step| step.address.clone()).filter(|address| !named(address)).collect();
    if !all && plan.existing >= FEW && unnamed.len() * 100 > plan.existing * SHARE_PERCENT {
        let hint = if limits.protect {
            "if they must go: name each with --allow-destroy=ADDRESS"
        } else {
            "if they must go: --allow-destroy=all, or name each with --allow-destroy=ADDRESS"
        };
        let (destroyed, existing) = (unnamed.len(), plan.existing);
        let message = format!(
            "{destroyed} of {existing} resources would be destroyed or replaced, more than {SHARE_PERCENT} %"
        );
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        findings.push(Finding::new("mass_destroy", message, hint, unnamed).counting(&[
            ("destroyed", count(destroyed)),
            ("existing", count(existing)),
            ("limit_percent", count(SHARE_PERCENT)),
        ]));
    }
    for step in &plan.steps {
        if let Action::Hold { why: Hold::OtherEnvironment { environment } } = &step.action {
            findings.push(Finding::new(
                "other_environment",
                format!("{} carries the mark of environment {environment}", step.address),
                format!(
                    "one of the two environments must let go of it; to change all else: --exclude={}",
                    step.address
                ),
                vec![step.address.clone()],
            ));
        }
    }
    findings
}
