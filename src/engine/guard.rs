//! Refusals: what a plan must not do unless a person has said so by name. Pure; each names what tripped it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plan;
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
}

/// All refusals of a plan; empty means that it may be applied.
pub fn guard<R>(plan: &Plan<R>, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let destroyed: Vec<_> = plan.steps.iter().filter(|step| step.action.destroys()).collect();
    let named = |address: &Address| limits.allow_destroy.contains(address.as_str());

    for step in &destroyed {
        if (limits.protect || step.protected) && !named(&step.address) {
            let whence = if limits.protect { "the environment is protected" } else { "its mark protects it" };
            findings.push(Finding {
                guard: "protected_destroy".into(),
                message: format!("{} would be destroyed, but {whence}", step.address),
                hint: format!("if it must go: --allow-destroy={}", step.address),
                addresses: vec![step.address.clone()],
            });
        }
    }
    let all = limits.allow_destroy.contains("all") && !limits.protect;
    let unnamed: Vec<Address> =
        destroyed.iter().map(|step| step.address.clone()).filter(|address| !named(address)).collect();
    if !all && plan.existing >= FEW && unnamed.len() * 100 > plan.existing * SHARE_PERCENT {
        findings.push(Finding {
            guard: "mass_destroy".into(),
            message: format!(
                "{} of {} resources would be destroyed or replaced, more than {SHARE_PERCENT} %",
                unnamed.len(),
                plan.existing
            ),
            hint: if limits.protect {
                "if they must go: name each with --allow-destroy=ADDRESS".into()
            } else {
                "if they must go: --allow-destroy=all, or name each with --allow-destroy=ADDRESS".into()
            },
            addresses: unnamed,
        });
    }
    findings
}
