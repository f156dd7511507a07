//! What a plan must not do to a replica set, and what is to be known of what it does.

use super::{role::MongoRole, secret::MongoSecret, user::MongoUser};
use crate::{
    engine::{Action, Desired, Finding, Plan, World},
    model::{Address, mark::Subject},
    resources::Any,
};

/// Refuses a plan that changes or drops the user that `infra` is logged in as, or a role that he has. Pure.
pub fn lockout(plan: &Plan<Any>) -> Vec<Finding> {
    let ourselves = |any: &Any| {
        let user = MongoUser::try_from(any.clone()).is_ok_and(|user| user.ourselves.0);
        user || MongoRole::try_from(any.clone()).is_ok_and(|role| role.ourselves.0)
    };
    let steps = plan.steps.iter().filter(|step| step.action.existing().is_some_and(ourselves));
    steps
        .map(|step| {
            let change = if step.action.destroys() { "destroyed" } else { "changed" };
            Finding::new(
                "admin_lockout",
                format!("{} would be {change}, and infra is logged in by it", step.address),
                "let the connection string name another user, one that no YAML declares",
                vec![step.address.clone()],
            )
        })
        .collect()
}

/// What `infra destroy` means inside of replica sets, which themselves stay: all that is ours goes.
pub fn all_removed(desired: &Desired<Any>, world: &World<Any>) -> Desired<Any> {
    // What is scheduled for deletion goes by itself.
    let secret = |any: &Any| MongoSecret::try_from(any.clone()).is_ok_and(|one| !one.scheduled_for_deletion);
    let goes = |any: &Any| any.is_in_mongo() || secret(any);
    let ours = world.found.iter().filter(|(_, found)| found.owned && goes(&found.resource));
    let mut desired = desired.clone();
    desired.removed.extend(ours.map(|(address, _)| address.clone()));
    desired
}

/// Adds to a plan what people might expect of it, and it does not do.
pub fn with_notes(mut plan: Plan<Any>) -> Plan<Any> {
    let gone = plan.steps.iter().filter_map(|step| {
        let Action::Delete { old } = &step.action else { return None };
        let role = MongoRole::try_from(old.clone()).ok()?;
        match role.mark?.subject {
            Subject::Service(service) => Some((step.address.clone(), service)),
            _ => None,
        }
    });
    let notes = gone.map(|(address, service)| {
        (
            address,
            format!("the database {service} in MongoDB stays, and all that is in it: infra never drops one"),
        )
    });
    let notes: Vec<(Address, String)> = notes.collect();
    plan.notes.extend(notes);
    plan.notes.sort();
    plan
}
