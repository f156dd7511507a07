//! Who a person is on AWS.

use std::{collections::HashMap, sync::LazyLock};

use regex_lite::Regex;

use super::Facts;
use crate::config::{problem::Problems, source::quoted};

static ROLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$").ok());

static POLICY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$").ok());

pub(super) fn is_role(text: &str) -> bool {
    ROLE.as_ref().is_none_or(|regex| regex.is_match(text))
}

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let environment = facts.environment;
    let mut known: HashMap<(&str, &str), &str> = HashMap::new();
    for (name, person) in &environment.people {
        let path = ["people", name.as_str()];
        for (key, value) in [("principal", &person.principal), ("sso", &person.sso)] {
            if let Some(value) = value
                && let Some(other) = known.insert((key, value), name)
            {
                problems
                    .add(
                        facts.at(&["people", name, key]),
                        format!("`{name}` and `{other}` are the same person to AWS"),
                    )
                    .also(&format!("that of `{other}`"), facts.at(&["people", other, key]))
                    .mend("declare each person once");
            }
        }
        if !facts.aws() || !facts.unfit.spares(&path) {
            continue;
        }
        match (&person.principal, &person.sso) {
            (None, None) => {
                problems
                    .add(facts.key(&path), format!("`{name}` has neither `principal` nor `sso`"))
                    .because("on AWS one of them says who may log in as this person")
                    .mend(
                        "add `principal:` with the ARN of an IAM user or role, or `sso:` with a session name",
                    );
            }
            (Some(_), Some(_)) => {
                problems
                    .add(
                        facts.key(&["people", name, "sso"]),
                        format!("`{name}` has both `principal` and `sso`"),
                    )
                    .also("the other one", facts.key(&["people", name, "principal"]))
                    .mend("keep one of them");
            }
            (None, Some(_)) if environment.sso_role.is_none() && facts.unfit.spares_top() => {
                problems
                    .add(
                        facts.key(&["people", name, "sso"]),
                        format!("`{name}` has `sso`, but the environment has no `sso_role`"),
                    )
                    .mend("add `sso_role:` with the ARN of the role under which such people work");
            }
            _ => {}
        }
    }
    if let Some(role) = &environment.sso_role
        && !is_role(role)
    {
        problems.add(facts.at(&["sso_role"]), format!("{} is not the ARN of an IAM role", quoted(role))).mend(
            "such as \"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef\"",
        );
    }
    if let Some(policy) = &environment.permissions_boundary
        && !POLICY.as_ref().is_none_or(|regex| regex.is_match(policy))
    {
        problems
            .add(
                facts.at(&["permissions_boundary"]),
                format!("{} is not the ARN of an IAM policy", quoted(policy)),
            )
            .mend("such as \"arn:aws:iam::111122223333:policy/boundary\"");
    }
}
