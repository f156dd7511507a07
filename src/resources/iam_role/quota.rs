//! What IAM's quotas would refuse, before the first call is made.

use super::IamRole;
use crate::{
    engine::{Awaited, Finding, Known, Late, Output, Plan},
    model::{Address, policy::Policy},
};

/// As long as the ids of clusters are.
const AN_ID: &str = "cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Where a quota, or what is used of it, stands among the facts; by AWS's name.
pub(super) fn address(quota: &str) -> Address {
    Address::new("iam_quota", quota)
}

fn known(known: &Known, quota: &str) -> Option<i64> {
    known.get(&address(quota))?.get(&Output::Count)?.parse().ok()
}

/// Refuses a plan that IAM's quotas would not let through. What was not read of them is not checked. Pure.
pub fn quotas<R>(plan: &Plan<R>) -> Vec<Finding>
where
    R: Clone,
    IamRole: TryFrom<R>,
{
    let role = |one: Option<&R>| one.and_then(|one| IamRole::try_from(one.clone()).ok());
    let wanted: Vec<(&Address, IamRole)> =
        (plan.steps.iter()).filter_map(|step| Some((&step.address, role(step.action.wanted())?))).collect();
    let new: Vec<Address> = (plan.steps.iter())
        .filter(|step| step.action.existing().is_none() && role(step.action.wanted()).is_some())
        .map(|step| step.address.clone())
        .collect();
    let mut findings: Vec<Finding> = number(&new, &plan.known).into_iter().collect();
    for (address, role) in wanted {
        let inline: usize = role.policies.values().map(size).sum();
        findings.extend(
            [("RolePolicySizeQuota", inline, "inline policies have"), ("AssumeRolePolicySizeQuota", size(&role.trust), "trust policy has")]
                .into_iter()
                .filter_map(|(quota, size, part)| {
                    let most = known(&plan.known, quota).filter(|most| count(size) > *most)?;
                    Some(finding(
                        format!("the {part} {size} characters, and IAM's {quota} of this account is {most}: {}", role.name),
                        "ask for more in the AWS console under Service Quotas, or spread the clusters over two environments",
                        vec![address.clone()],
                    ))
                }),
        );
    }
    findings
}

fn number(new: &[Address], facts: &Known) -> Option<Finding> {
    let (most, used) = (known(facts, "RolesQuota")?, known(facts, "Roles")?);
    let free = most.saturating_sub(used).max(0);
    (!new.is_empty() && count(new.len()) > free).then(|| {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        finding(
            format!(
                "{} IAM roles would be created, but the account has {used} of the {most} that its RolesQuota allows: room for {free}",
                new.len()
            ),
            "ask for more in the AWS console under Service Quotas (up to 5000), or delete roles that nobody uses",
            new.to_vec(),
        )
        .counting(&[("created", number(count(new.len()))), ("existing", number(used)), ("limit", number(most))])
    })
}

fn finding(message: String, hint: &str, addresses: Vec<Address>) -> Finding {
    Finding::new("quota", message, hint, addresses)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Characters that IAM would count, with ids in place of those that are not known yet.
fn size(policy: &Policy<Late>) -> usize {
    let text = |late| match late {
        Late::Known(text) => text,
        Late::After { after: Awaited { prefix, suffix, .. } } => format!("{prefix}{AN_ID}{suffix}"),
    };
    policy.clone().map(text).size()
}
