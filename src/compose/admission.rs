//! Whether the groups of a person let her to a service, and which would.

use super::Composition;
use crate::model::environment::{Access, Environment};

/// What the groups say of one person and some services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    services: Vec<String>,
    /// The most that her groups give her.
    pub access: Access,
    /// Her groups that let her in.
    pub by: Vec<String>,
    /// Her groups that have the service, but let nobody in: `access: none`.
    pub closed: Vec<String>,
    /// Groups that would let her in if she were a member, with what they give.
    pub others: Vec<(String, Access)>,
}

/// What is declared alone. Pure.
pub fn admission(environment: &Environment, person: &str, services: &[&str]) -> Admission {
    let composition = Composition::new("", environment);
    let mut admission = Admission {
        services: services.iter().map(ToString::to_string).collect(),
        access: Access::None,
        by: Vec::new(),
        closed: Vec::new(),
        others: Vec::new(),
    };
    for (name, group) in &environment.developer_groups {
        if !composition.services_of(group).iter().any(|(of, _)| services.contains(of)) {
            continue;
        }
        let access = group.access.unwrap_or(environment.developers);
        match (group.members.iter().any(|member| member == person), access) {
            (true, Access::None) => admission.closed.push(name.clone()),
            (true, access) => {
                admission.access = admission.access.max(access);
                admission.by.push(name.clone());
            }
            (false, Access::None) => {}
            (false, access) => admission.others.push((name.clone(), access)),
        }
    }
    admission
}

impl Admission {
    pub fn lets_in(&self) -> bool {
        self.access > Access::None
    }

    /// Why she is not let in, in one sentence.
    pub fn refusal(&self, person: &str, target: &str) -> String {
        let closed = self.closed.join(", ");
        if closed.is_empty() {
            format!("{person} is in no group with access to `{target}`")
        } else {
            format!("{person} is in {closed}, which lets nobody into `{target}` (`access: none`)")
        }
    }

    /// What to write into the YAML.
    pub fn mend(&self, person: &str) -> String {
        let Some((first, _)) = self.others.first() else {
            return format!(
                "no group has access to it; declare one: developer_groups: {{NAME: {{members: [{person}], services: \
                 [{}]}}}}",
                self.services.join(", ")
            );
        };
        let others: Vec<String> =
            self.others.iter().map(|(name, access)| format!("`{name}` ({})", word(*access))).collect();
        let verb = if others.len() == 1 { "has" } else { "have" };
        format!("{} {verb} it: add {person} to developer_groups.{first}.members and apply", others.join(", "))
    }
}

/// As the YAML writes it.
fn word(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::ReadOnly => "read-only",
        Access::ReadWrite => "read-write",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        serde_json::from_value(serde_json::json!({
            "platform": {"local": {}},
            "clusters": {"main": {}},
            "services": {"orders": {}, "billing": {}, "alone": {}},
            "people": {"ana": {}, "boris": {}, "chiara": {}},
            "developer_groups": {
                "backend": {"members": ["ana"], "services": ["orders"]},
                "finance": {"members": ["boris"], "services": ["billing"], "access": "read-write"},
                "auditors": {"members": ["boris"], "services": ["billing"]},
                "paused": {"members": ["chiara"], "services": ["orders"], "access": "none"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn who_is_let_in_and_by_whom() {
        let environment = environment();
        let of = |person: &str, service: &str| admission(&environment, person, &[service]);
        assert_eq!(
            (of("ana", "orders").access, of("ana", "orders").by),
            (Access::ReadOnly, vec!["backend".into()])
        );
        assert_eq!(of("boris", "billing").access, Access::ReadWrite);
        assert!(!of("ana", "billing").lets_in() && !of("chiara", "orders").lets_in());
    }

    #[test]
    fn who_is_not_is_told_which_group_would() {
        let environment = environment();
        let told = |person: &str, service: &str| {
            let admission = admission(&environment, person, &[service]);
            (admission.refusal(person, service), admission.mend(person))
        };
        assert_eq!(
            told("ana", "billing"),
            (
                "ana is in no group with access to `billing`".into(),
                "`auditors` (read-only), `finance` (read-write) have it: add ana to \
                 developer_groups.auditors.members and apply"
                    .into()
            )
        );
        assert_eq!(
            told("chiara", "orders"),
            (
                "chiara is in paused, which lets nobody into `orders` (`access: none`)".into(),
                "`backend` (read-only) has it: add chiara to developer_groups.backend.members and apply"
                    .into()
            )
        );
        assert!(told("ana", "alone").1.starts_with("no group has access to it; declare one"));
    }
}
