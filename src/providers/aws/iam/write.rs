//! Changing roles, one call after the other.
//!
//! IAM has no tokens that make a call safe to repeat: the name does. Each call here may be made twice, for the answer to
//! the first may have been lost.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_iam::types::Tag;

use super::{PROPAGATION, patiently, read::GONE};
use crate::providers::{
    ReadWrite,
    aws::{Aws, AwsError},
};

/// Somebody else, or another part of IAM, is at the same role.
const BUSY: [&str; 4] =
    ["ConcurrentModification", "EntityTemporarilyUnmodifiable", "ServiceFailure", "DeleteConflict"];
const EXISTS: [&str; 1] = ["EntityAlreadyExists"];
const BAD_DOCUMENT: [&str; 1] = ["MalformedPolicyDocument"];
const FULL: [&str; 1] = ["LimitExceeded"];
/// A principal that was just made is known everywhere after seconds; ours are never just made by us, so no longer.
const PRINCIPAL: Duration = Duration::from_secs(15);

/// A role as it is created: with its mark and its boundary from the first moment on.
#[derive(Clone, Copy, Debug)]
pub struct NewRole<'a> {
    pub name: &'a str,
    pub path: &'a str,
    pub trust: &'a str,
    pub permissions_boundary: Option<&'a str>,
    pub tags: &'a BTreeMap<String, String>,
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}

fn gone(result: Result<(), AwsError>) -> Result<(), AwsError> {
    result.or_else(|error| if error.is(&GONE) { Ok(()) } else { Err(error) })
}

impl Aws<ReadWrite> {
    /// Makes one call, and again while IAM has not yet heard of a `fresh` role, or is at it.
    async fn call<T>(
        &self,
        role: &str,
        fresh: bool,
        call: impl AsyncFnMut() -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let passes = |error: &AwsError| error.is(&BUSY) || fresh && error.is(&GONE);
        let result = patiently(self.poll / 10, PROPAGATION, passes, call).await;
        result.map_err(|error| explained(role, error))
    }

    /// The ARN of the new role; `None` if one of that name exists already.
    pub async fn create_role(&self, new: NewRole<'_>) -> Result<Option<String>, AwsError> {
        let create = async || {
            let call = self.clients.iam.create_role().role_name(new.name).path(new.path);
            let call = call.assume_role_policy_document(new.trust).set_tags(Some(tags(new.tags)));
            let call = call.set_permissions_boundary(new.permissions_boundary.map(Into::into));
            call.send().await.map_err(|error| AwsError::of("iam:CreateRole", error))
        };
        let passes = |error: &AwsError| names_no_principal(error);
        let patient = async || patiently(self.poll / 10, PRINCIPAL, passes, create).await;
        match self.call(new.name, false, patient).await {
            Ok(answer) => Ok(Some(answer.role().map(|role| role.arn().to_owned()).unwrap_or_default())),
            Err(error) if error.is(&EXISTS) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn set_trust(&self, role: &str, trust: &str) -> Result<(), AwsError> {
        let set = async || {
            let call = self.clients.iam.update_assume_role_policy().role_name(role).policy_document(trust);
            call.send().await.map_err(|error| AwsError::of("iam:UpdateAssumeRolePolicy", error))
        };
        let passes = |error: &AwsError| names_no_principal(error);
        let patient = async || patiently(self.poll / 10, PRINCIPAL, passes, set).await;
        self.call(role, false, patient).await.map(drop)
    }

    /// `fresh`: the role was just made.
    pub async fn put_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
        fresh: bool,
    ) -> Result<(), AwsError> {
        let put = async || {
            let call = self.clients.iam.put_role_policy().role_name(role).policy_name(policy);
            let answer = call.policy_document(document).send().await;
            answer.map_err(|error| AwsError::of("iam:PutRolePolicy", error))
        };
        self.call(role, fresh, put).await.map(drop)
    }

    pub async fn delete_policy(&self, role: &str, policy: &str) -> Result<(), AwsError> {
        let delete = async || {
            let answer =
                self.clients.iam.delete_role_policy().role_name(role).policy_name(policy).send().await;
            answer.map_err(|error| AwsError::of("iam:DeleteRolePolicy", error))
        };
        gone(self.call(role, false, delete).await.map(drop))
    }

    pub async fn detach_policy(&self, role: &str, arn: &str) -> Result<(), AwsError> {
        let detach = async || {
            let answer = self.clients.iam.detach_role_policy().role_name(role).policy_arn(arn).send().await;
            answer.map_err(|error| AwsError::of("iam:DetachRolePolicy", error))
        };
        gone(self.call(role, false, detach).await.map(drop))
    }

    pub async fn set_boundary(&self, role: &str, boundary: Option<&str>) -> Result<(), AwsError> {
        let Some(boundary) = boundary else {
            let delete = async || {
                let answer = self.clients.iam.delete_role_permissions_boundary().role_name(role).send().await;
                answer.map_err(|error| AwsError::of("iam:DeleteRolePermissionsBoundary", error))
            };
            return gone(self.call(role, false, delete).await.map(drop));
        };
        let put = async || {
            let call = self.clients.iam.put_role_permissions_boundary().role_name(role);
            let answer = call.permissions_boundary(boundary).send().await;
            answer.map_err(|error| AwsError::of("iam:PutRolePermissionsBoundary", error))
        };
        self.call(role, false, put).await.map(drop)
    }

    pub async fn tag_role(&self, role: &str, added: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let tag = async || {
            let answer = self.clients.iam.tag_role().role_name(role).set_tags(Some(tags(added))).send().await;
            answer.map_err(|error| AwsError::of("iam:TagRole", error))
        };
        self.call(role, false, tag).await.map(drop)
    }

    pub async fn untag_role(&self, role: &str, keys: Vec<String>) -> Result<(), AwsError> {
        let untag = async || {
            let call = self.clients.iam.untag_role().role_name(role).set_tag_keys(Some(keys.clone()));
            call.send().await.map_err(|error| AwsError::of("iam:UntagRole", error))
        };
        self.call(role, false, untag).await.map(drop)
    }

    /// Empties it first, as it is by now: IAM deletes no role that holds anything.
    pub async fn delete_role(&self, role: &str) -> Result<(), AwsError> {
        gone(self.empty_role(role).await)?;
        let delete = async || {
            let answer = self.clients.iam.delete_role().role_name(role).send().await;
            answer.map_err(|error| AwsError::of("iam:DeleteRole", error))
        };
        gone(self.call(role, false, delete).await.map(drop))
    }

    async fn empty_role(&self, role: &str) -> Result<(), AwsError> {
        for arn in self.attached_policies(role).await? {
            self.detach_policy(role, &arn).await?;
        }
        for policy in self.inline_policy_names(role).await? {
            self.delete_policy(role, &policy).await?;
        }
        let call =
            self.clients.iam.list_instance_profiles_for_role().role_name(role).into_paginator().items();
        let profiles = call.send().collect::<Result<Vec<_>, _>>().await;
        let profiles = profiles.map_err(|error| AwsError::of("iam:ListInstanceProfilesForRole", error))?;
        for profile in profiles {
            let name = profile.instance_profile_name();
            let remove = async || {
                let call = self.clients.iam.remove_role_from_instance_profile().role_name(role);
                let answer = call.instance_profile_name(name).send().await;
                answer.map_err(|error| AwsError::of("iam:RemoveRoleFromInstanceProfile", error))
            };
            gone(self.call(role, false, remove).await.map(drop))?;
        }
        Ok(())
    }
}

fn names_no_principal(error: &AwsError) -> bool {
    error.is(&BAD_DOCUMENT)
        && matches!(error, AwsError::Refused { message, .. } if message.contains("Invalid principal"))
}

/// What a refusal means, and how to mend it.
fn explained(role: &str, error: AwsError) -> AwsError {
    let why = if names_no_principal(&error) {
        format!("{error}. IAM knows no such principal: it is misspelt, or was deleted")
    } else if error.is(&FULL) {
        format!("{error}. A quota of IAM is used up; ask for more in the AWS console under Service Quotas")
    } else {
        return error;
    };
    AwsError::Unfit { what: format!("IAM role {role}"), why }
}
