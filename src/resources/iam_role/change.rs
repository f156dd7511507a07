//! What becomes of a role: the calls, in words and in deed.

use std::collections::BTreeMap;

use super::IamRole;
use crate::{
    engine::{Action, Error, Output, Outputs, Resource as _},
    model::mark::tag,
    providers::{
        ReadWrite,
        aws::{Aws, AwsError, iam::NewRole},
    },
    resources::{Effects, Handle},
};

/// One call that changes a role.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Detach(String),
    DeletePolicy(String),
    SetTrust(String),
    SetBoundary(Option<String>),
    PutPolicy(String, String),
    Untag(Vec<String>),
    Tag(BTreeMap<String, String>),
}

/// Only what differs, and what takes access away first: a run that is killed leaves less than the end state, never more.
fn calls(old: &IamRole, new: &IamRole) -> Vec<Call> {
    let detach = old.attached.difference(&new.attached).cloned().map(Call::Detach);
    let foreign = old.policies.keys().filter(|name| !new.policies.contains_key(*name));
    let mut calls: Vec<Call> = detach.chain(foreign.cloned().map(Call::DeletePolicy)).collect();
    if old.permissions_boundary != new.permissions_boundary {
        calls.push(Call::SetBoundary(new.permissions_boundary.clone()));
    }
    if old.trust != new.trust {
        calls.push(Call::SetTrust(new.trust.minified()));
    }
    let changed = new.policies.iter().filter(|(name, policy)| old.policies.get(*name) != Some(policy));
    calls.extend(changed.map(|(name, policy)| Call::PutPolicy(name.clone(), policy.minified())));
    let gone: Vec<String> = old.tags.keys().filter(|key| !new.tags.contains_key(*key)).cloned().collect();
    let added = new.tags.iter().filter(|(key, value)| old.tags.get(*key) != Some(value));
    let added: BTreeMap<_, _> = added.map(|(key, value)| (key.clone(), value.clone())).collect();
    // The mark is written before anything of it is taken away.
    calls.extend((!added.is_empty()).then_some(Call::Tag(added)));
    calls.extend((!gone.is_empty()).then_some(Call::Untag(gone)));
    calls
}

fn listed(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

impl Call {
    fn words(&self, role: &str) -> String {
        match self {
            Self::Detach(arn) => format!("iam:DetachRolePolicy {role} {arn}"),
            Self::DeletePolicy(policy) => format!("iam:DeleteRolePolicy {role}/{policy}"),
            Self::SetTrust(trust) => format!("iam:UpdateAssumeRolePolicy {role} {trust}"),
            Self::SetBoundary(Some(arn)) => format!("iam:PutRolePermissionsBoundary {role} {arn}"),
            Self::SetBoundary(None) => format!("iam:DeleteRolePermissionsBoundary {role}"),
            Self::PutPolicy(policy, document) => format!("iam:PutRolePolicy {role}/{policy} {document}"),
            Self::Untag(keys) => format!("iam:UntagRole {role} ({})", keys.join(", ")),
            Self::Tag(tags) => format!("iam:TagRole {role} ({})", listed(tags)),
        }
    }

    async fn make(self, aws: &Aws<ReadWrite>, role: &str) -> Result<(), AwsError> {
        match self {
            Self::Detach(arn) => aws.detach_policy(role, &arn).await,
            Self::DeletePolicy(policy) => aws.delete_policy(role, &policy).await,
            Self::SetTrust(trust) => aws.set_trust(role, &trust).await,
            Self::SetBoundary(arn) => aws.set_boundary(role, arn.as_deref()).await,
            Self::PutPolicy(policy, document) => aws.put_policy(role, &policy, &document, false).await,
            Self::Untag(keys) => aws.untag_role(role, keys).await,
            Self::Tag(tags) => aws.tag_role(role, &tags).await,
        }
    }
}

impl Effects for IamRole {
    fn effects(action: &Action<Self>) -> Vec<String> {
        match action {
            Action::Create { new } => {
                let bounded = new.permissions_boundary.as_ref().map(|arn| format!(", boundary {arn}"));
                let name = &new.name;
                let create = format!(
                    "iam:CreateRole {name} (path {}{}) trusting {}",
                    new.path,
                    bounded.unwrap_or_default(),
                    new.trust.minified()
                );
                let put = new.policies.iter().map(|(policy, document)| {
                    Call::PutPolicy(policy.clone(), document.minified()).words(name)
                });
                [create].into_iter().chain(put).collect()
            }
            Action::Update { old, new } => calls(old, new).iter().map(|call| call.words(&new.name)).collect(),
            Action::Delete { old } => {
                let name = &old.name;
                let detach = old.attached.iter().cloned().map(Call::Detach);
                let policies = old.policies.keys().cloned().map(Call::DeletePolicy);
                let empty = detach.chain(policies).map(|call| call.words(name));
                empty.chain([format!("iam:DeleteRole {name}")]).collect()
            }
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

/// Whether a role that stands in the way is the one that is to be made: an earlier run made it, or this one did and the
/// answer was lost.
fn is_ours(there: &IamRole, new: &IamRole) -> bool {
    let same = |key: &str| there.tags.get(key) == new.tags.get(key);
    there.name == new.name
        && there.path == new.path
        && there.environment().is_some()
        && [tag::MANAGED, tag::ENVIRONMENT, tag::ID].into_iter().all(same)
}

fn in_the_way(there: &IamRole, new: &IamRole) -> AwsError {
    let whose = match there.environment() {
        Some(environment) if Some(environment) != new.environment() => {
            format!("it carries the mark of environment {environment}")
        }
        _ if there.path != new.path => format!("it lies under {}, not {}", there.path, new.path),
        _ => "it does not carry our mark".into(),
    };
    let why = format!("a role of this name exists, and {whose}; it is left alone. Delete or rename it");
    AwsError::Unfit { what: format!("IAM role {}", new.name), why }
}

/// Every part of a role must be known before it is written; the engine sees to it, and this to the engine.
fn bound(role: &IamRole) -> Result<(), AwsError> {
    match role.unbound().first() {
        None => Ok(()),
        Some(late) => {
            let why = format!("{late} is not known");
            Err(AwsError::Unfit { what: format!("IAM role {}", role.name), why })
        }
    }
}

impl Aws<ReadWrite> {
    async fn converge(&self, old: &IamRole, new: &IamRole) -> Result<(), AwsError> {
        for call in calls(old, new) {
            call.make(self, &new.name).await?;
        }
        Ok(())
    }
}

impl Handle<IamRole> for Aws<ReadWrite> {
    async fn create(&self, new: &IamRole, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        bound(new)?;
        let trust = new.trust.minified();
        let role = NewRole {
            name: &new.name,
            path: &new.path,
            trust: &trust,
            permissions_boundary: new.permissions_boundary.as_deref(),
            tags: &new.tags,
        };
        if let Some(arn) = self.create_role(role).await? {
            for (policy, document) in &new.policies {
                self.put_policy(&new.name, policy, &document.minified(), true).await?;
            }
            return Ok(Outputs::from([(Output::Arn, arn)]));
        }
        let Some(there) = self.role(&new.name).await? else {
            let why = "IAM says that it exists, but does not find it; run infra again".into();
            return Err(AwsError::Unfit { what: format!("IAM role {}", new.name), why }.into());
        };
        let arn = there.arn.clone();
        let there = IamRole::of(&there);
        if !is_ours(&there, new) {
            return Err(in_the_way(&there, new).into());
        }
        self.converge(&there, new).await?;
        Ok(Outputs::from([(Output::Arn, arn)]))
    }

    async fn update(&self, old: &IamRole, new: &IamRole, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        bound(new)?;
        self.converge(old, new).await?;
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &IamRole, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(self.delete_role(&old.name).await?)
    }
}
