//! The guard against locking the admin out.
//!
//! On Aurora whoever is a member of `rds_iam`, be it by way of another role, can log in by IAM only: a password is refused
//! from the moment the membership is committed (RDS, "Database authentication"). The admin becomes a member of the roles
//! he owns things through; none of these may lead to `rds_iam`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Any, pg_role::PgRole};
use crate::{
    engine::{Action, Finding, Plan, World},
    model::{Address, names::IAM},
    providers::postgres::ADMIN,
};

/// Refuses a plan after which the admin would be a member of `rds_iam` by way of a role. Pure.
pub fn lockout(plan: &Plan<Any>, world: &World<Any>) -> Vec<Finding> {
    let mut roles: BTreeMap<Address, PgRole> = BTreeMap::new();
    let role = |any: &Any| PgRole::try_from(any.clone()).ok();
    for (address, found) in &world.found {
        roles.extend(role(&found.resource).map(|role| (address.clone(), role)));
    }
    for step in &plan.steps {
        match &step.action {
            Action::Delete { .. } => {
                roles.remove(&step.address);
            }
            action => roles.extend(action.wanted().and_then(role).map(|role| (step.address.clone(), role))),
        }
    }
    let entries = roles.iter().filter(|(_, role)| role.admin_is_member);
    entries
        .filter_map(|(address, role)| {
            let way = way_to_iam(role, &roles)?;
            Some(Finding::new(
                "admin_lockout",
                format!(
                    "{ADMIN} would be locked out: it is a member of {}, which leads to {IAM}",
                    way.join(", then ")
                ),
                format!("the membership in {IAM} must go first; do not exclude {address} from the plan"),
                vec![address.clone()],
            ))
        })
        .collect()
}

/// The roles on the way from a role to `rds_iam`; `None` if there is no way.
fn way_to_iam(from: &PgRole, roles: &BTreeMap<Address, PgRole>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut open = vec![vec![from.name.clone()]];
    while let Some(way) = open.pop() {
        let name = way.last()?;
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(role) = roles.get(&PgRole::address(&from.cluster, name)) else { continue };
        if role.member_of.contains_key(IAM) {
            return Some(way);
        }
        open.extend(role.member_of.keys().map(|next| way.iter().chain([next]).cloned().collect()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Desired, Found, Outputs, plan},
        model::mark::{Mark, Subject},
        resources::pg_role::Membership,
    };

    fn role(name: &str, of: &[&str], admin_is_member: bool) -> (Address, PgRole) {
        let mark = Mark {
            environment: "prod".into(),
            subject: Subject::Service("orders".into()),
            retired: false,
            protect: false,
            note: None,
        };
        let member_of = of.iter().map(|role| ((*role).to_owned(), Membership::INHERIT)).collect();
        let role = PgRole { member_of, admin_is_member, ..PgRole::new("main", name, mark) };
        (PgRole::address("main", name), role)
    }

    fn findings(wanted: &[(Address, PgRole)], there: &[(Address, PgRole)]) -> Vec<String> {
        let resources = wanted.iter().map(|(a, r)| (a.clone(), r.clone().into())).collect();
        let found = |(a, r): &(Address, PgRole)| {
            let resource = r.clone().into();
            (a.clone(), Found { resource, outputs: Outputs::new(), owned: true, protected: false })
        };
        let world = World { found: there.iter().map(found).collect(), ..World::default() };
        let plan = plan(&Desired { resources, ..Desired::default() }, &world).unwrap();
        lockout(&plan, &world).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_way_to_iam_is_named() {
        let (owner, login) = (role("owner", &[], true), role("app", &[IAM], false));
        assert!(findings(&[owner.clone(), login.clone()], &[]).is_empty());
        let bad = role("owner", &["team"], true);
        let team = role("team", &[IAM], false);
        assert_eq!(
            findings(&[bad.clone(), team.clone()], &[]),
            ["infra_admin would be locked out: it is a member of owner, then team, which leads to rds_iam"]
        );
        // Made by hand, and mended by this very plan: no reason to refuse it.
        assert!(findings(&[owner, login, role("team", &[], false)], &[bad, team]).is_empty());
    }
}
