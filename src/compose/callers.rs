//! Who of the people an AWS identity is.

use crate::{
    model::environment::{Environment, Person, Platform},
    resources::iam_role::Holder,
};

/// Somebody whom an identity of AWS stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub person: String,
    /// The identity is that person's own role already, which need not, and may not, be assumed once more.
    pub in_role: bool,
}

/// All people that `arn` (as `sts:GetCallerIdentity` tells it) may be: one, unless the YAML names an identity twice.
pub fn callers(name: &str, environment: &Environment, arn: &str) -> Vec<Caller> {
    let Some(identity) = Identity::parse(arn) else { return Vec::new() };
    let account = match &environment.platform {
        Platform::Aws(aws) => aws.account.as_str(),
        Platform::Local(_) => return Vec::new(),
    };
    let one = |(person, declared): (&String, &Person)| {
        let own = Holder::Person(person).role(name);
        let in_role = identity.has_assumed(account, &own).is_some();
        let is = in_role || identity.is(arn, environment, declared);
        is.then(|| Caller { person: person.clone(), in_role })
    };
    environment.people.iter().filter_map(one).collect()
}

/// An ARN in its parts. That of an assumed role has lost the path of the role.
struct Identity<'a> {
    account: &'a str,
    /// Role and session name.
    assumed: Option<(&'a str, &'a str)>,
}

impl<'a> Identity<'a> {
    fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let account = parts.nth(4)?;
        let assumed = parts.next()?.strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/'));
        Some(Self { account, assumed })
    }

    /// The session name, if this is a session of that role.
    fn has_assumed(&self, account: &str, role: &str) -> Option<&'a str> {
        let (assumed, session) = self.assumed?;
        (self.account == account && assumed == role).then_some(session)
    }

    fn is(&self, arn: &str, environment: &Environment, person: &Person) -> bool {
        let of_role = |role_arn: &str| {
            let (account, role) = role_arn.split_once(":iam::")?.1.split_once(":role/")?;
            self.has_assumed(account, role.rsplit('/').next()?)
        };
        match (&person.principal, &person.sso, &environment.sso_role) {
            (Some(principal), ..) => principal == arn || of_role(principal).is_some(),
            (None, Some(sso), Some(role)) => of_role(role) == Some(sso),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_an_identity_is() {
        let environment: Environment = serde_json::from_value(serde_json::json!({
            "platform": {"aws": {"account": "111122223333", "region": "eu-central-1"}},
            "sso_role": "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_01",
            "people": {
                "ana": {"principal": "arn:aws:iam::111122223333:user/ana"},
                "boris": {"sso": "boris@acme.example"},
                "esi": {"principal": "arn:aws:iam::999999999999:role/engineering/esi"},
                "zoe": {},
            },
        }))
        .unwrap();
        let of = |arn: &str| {
            let all = callers("prod", &environment, arn);
            all.iter()
                .map(|one| format!("{}{}", one.person, if one.in_role { " in role" } else { "" }))
                .collect::<Vec<_>>()
                .join(", ")
        };
        for (arn, person) in [
            ("arn:aws:iam::111122223333:user/ana", "ana"),
            ("arn:aws:iam::111122223333:user/anaa", ""),
            ("arn:aws:iam::999999999999:user/ana", ""),
            (
                "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Developer_01/boris@acme.example",
                "boris",
            ),
            ("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Developer_01/dora@acme.example", ""),
            ("arn:aws:sts::999999999999:assumed-role/AWSReservedSSO_Developer_01/boris@acme.example", ""),
            ("arn:aws:sts::111122223333:assumed-role/Other/boris@acme.example", ""),
            ("arn:aws:sts::999999999999:assumed-role/esi/any", "esi"),
            ("arn:aws:sts::111122223333:assumed-role/esi/any", ""),
            ("arn:aws:sts::111122223333:assumed-role/infra-prod-dev-ana/any", "ana in role"),
            ("arn:aws:sts::111122223333:assumed-role/infra-test-dev-ana/any", ""),
            ("arn:aws:iam::111122223333:root", ""),
            ("nonsense", ""),
        ] {
            assert_eq!(of(arn), person, "{arn}");
        }
    }
}
