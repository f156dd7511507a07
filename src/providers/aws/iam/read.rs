//! Reading roles: all at once where that is allowed, otherwise one by one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::{self, EntityType};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Iam, PATH, PREFIX, Role};
use crate::{
    model::policy::Policy,
    providers::aws::{Aws, AwsError, DENIED},
};

/// Largest page that IAM gives.
const PAGE: i32 = 1000;
/// Roles that are read at once where each is read by itself. IAM allows few calls a second for a whole account.
const AT_ONCE: usize = 8;

pub(super) const GONE: [&str; 1] = ["NoSuchEntity"];

impl<M> Aws<M> {
    /// Roles and quotas. What the credentials may not see is said, and is no error.
    pub(in crate::providers::aws) async fn iam(&self, environment: &str) -> Result<Iam, AwsError> {
        let folder = format!("{PATH}{environment}/");
        let (roles, quotas) = futures::try_join!(self.roles(&folder), self.quotas())?;
        Ok(match roles {
            Ok(roles) => Iam { roles, quotas, unreadable: None },
            Err(why) => Iam { roles: Vec::new(), quotas, unreadable: Some(why) },
        })
    }

    async fn roles(&self, folder: &str) -> Result<Result<Vec<Role>, String>, AwsError> {
        let all = match self.roles_at_once().await {
            Err(error) if error.is(&DENIED) => self.roles_one_by_one(folder).await,
            other => other,
        };
        match all {
            Ok(mut roles) => {
                roles.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Ok(roles))
            }
            Err(error) if error.is(&DENIED) => Ok(Err(format!(
                "{error}; allow iam:GetAccountAuthorizationDetails, or the reading of roles under {folder} \
                 (examples/aws-policies/planner.json)"
            ))),
            Err(error) => Err(error),
        }
    }

    async fn roles_at_once(&self) -> Result<Vec<Role>, AwsError> {
        let call = self.clients.iam.get_account_authorization_details().filter(EntityType::Role);
        let mut pages = call.max_items(PAGE).into_paginator().send();
        let mut roles = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::of("iam:GetAccountAuthorizationDetails", error))?;
            roles.extend(page.role_detail_list().iter().filter_map(role));
        }
        Ok(roles)
    }

    /// Those of one environment, for others need not be readable.
    async fn roles_one_by_one(&self, folder: &str) -> Result<Vec<Role>, AwsError> {
        let call = self.clients.iam.list_roles().path_prefix(folder).max_items(PAGE);
        let listed = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let listed = listed.map_err(|error| AwsError::of("iam:ListRoles", error))?;
        let read = stream::iter(listed).map(async |listed| self.role(listed.role_name()).await);
        let roles: Vec<Option<Role>> = read.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(roles.into_iter().flatten().collect())
    }

    /// One role with all that is in it; `None` if there is none of that name.
    pub async fn role(&self, name: &str) -> Result<Option<Role>, AwsError> {
        let inside = async {
            futures::try_join!(
                self.role_itself(name),
                self.inline_policies(name),
                self.attached_policies(name)
            )
        };
        match inside.await {
            Ok((role, policies, attached)) => {
                let trust = role.assume_role_policy_document().unwrap_or_default();
                Ok(Some(Role {
                    name: role.role_name().to_owned(),
                    path: role.path().to_owned(),
                    arn: role.arn().to_owned(),
                    trust: Policy::parse(trust),
                    policies,
                    attached,
                    permissions_boundary: boundary(role.permissions_boundary()),
                    tags: tags(role.tags()),
                }))
            }
            Err(error) if error.is(&GONE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::providers::aws) async fn role_itself(&self, name: &str) -> Result<types::Role, AwsError> {
        const ACTION: &str = "iam:GetRole";
        let answer = self.clients.iam.get_role().role_name(name).send().await;
        let answer = answer.map_err(|error| AwsError::of(ACTION, error))?;
        answer.role.ok_or(AwsError::Answer { action: ACTION, why: "it holds no role".into() })
    }

    async fn inline_policies(&self, name: &str) -> Result<BTreeMap<String, Policy>, AwsError> {
        let mut policies = BTreeMap::new();
        for policy in self.inline_policy_names(name).await? {
            let answer = self.clients.iam.get_role_policy().role_name(name).policy_name(&policy).send().await;
            match answer.map_err(|error| AwsError::of("iam:GetRolePolicy", error)) {
                Ok(answer) => drop(policies.insert(policy, Policy::parse(answer.policy_document()))),
                // It went while we looked.
                Err(error) if error.is(&GONE) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(policies)
    }

    pub(super) async fn inline_policy_names(&self, name: &str) -> Result<Vec<String>, AwsError> {
        let call = self.clients.iam.list_role_policies().role_name(name).into_paginator().items();
        let names = call.send().collect::<Result<Vec<_>, _>>().await;
        names.map_err(|error| AwsError::of("iam:ListRolePolicies", error))
    }

    pub(super) async fn attached_policies(&self, name: &str) -> Result<BTreeSet<String>, AwsError> {
        let call = self.clients.iam.list_attached_role_policies().role_name(name).into_paginator().items();
        let attached = call.send().collect::<Result<Vec<_>, _>>().await;
        let attached = attached.map_err(|error| AwsError::of("iam:ListAttachedRolePolicies", error))?;
        Ok(attached.iter().filter_map(|policy| policy.policy_arn().map(Into::into)).collect())
    }

    /// Numbers that only matter when roles are to be made, so that whoever may not see them can plan nevertheless.
    async fn quotas(&self) -> Result<BTreeMap<String, i64>, AwsError> {
        let answer = self.clients.iam.get_account_summary().send().await;
        match answer.map_err(|error| AwsError::of("iam:GetAccountSummary", error)) {
            Ok(answer) => {
                let numbers = answer.summary_map().into_iter().flatten();
                Ok(numbers.map(|(key, number)| (key.as_str().to_owned(), i64::from(*number))).collect())
            }
            Err(error) if error.is(&DENIED) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }
}

/// A role that concerns us.
fn role(detail: &types::RoleDetail) -> Option<Role> {
    let (name, path) = (detail.role_name()?, detail.path()?);
    if !path.starts_with(PATH) && !name.to_ascii_lowercase().starts_with(PREFIX) {
        return None;
    }
    let policies = detail.role_policy_list().iter().filter_map(|policy| {
        Some((policy.policy_name()?.to_owned(), Policy::parse(policy.policy_document()?)))
    });
    let attached = detail.attached_managed_policies().iter();
    Some(Role {
        name: name.into(),
        path: path.into(),
        arn: detail.arn().unwrap_or_default().into(),
        trust: Policy::parse(detail.assume_role_policy_document().unwrap_or_default()),
        policies: policies.collect(),
        attached: attached.filter_map(|policy| policy.policy_arn().map(Into::into)).collect(),
        permissions_boundary: boundary(detail.permissions_boundary()),
        tags: tags(detail.tags()),
    })
}

fn boundary(boundary: Option<&types::AttachedPermissionsBoundary>) -> Option<String> {
    boundary?.permissions_boundary_arn().map(Into::into)
}

fn tags(tags: &[types::Tag]) -> BTreeMap<String, String> {
    let ours = tags.iter().filter(|tag| !tag.key().starts_with("aws:"));
    ours.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}
