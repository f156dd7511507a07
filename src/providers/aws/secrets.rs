//! Secrets of AWS Secrets Manager: looked at from outside for a plan, and opened only to set a password.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Aws, AwsError, DENIED};
use crate::{
    model::{Address, secret},
    providers::ReadWrite,
};

/// How long a deleted secret can be had back: as long as AWS allows.
pub const RECOVERY_DAYS: i64 = 30;
/// Characters of a password. Letters and digits alone, so that it fits into a connection string as it is: 238 bits.
const PASSWORD: i64 = 40;
/// Most values that a filter takes.
const VALUES: usize = 10;
/// Secrets that are looked at side by side.
const AT_ONCE: usize = 16;
const CURRENT: &str = "AWSCURRENT";

const MISSING: [&str; 1] = ["ResourceNotFoundException"];
const EXISTS: [&str; 1] = ["ResourceExistsException"];
/// Also: it is scheduled for deletion.
const INVALID: [&str; 1] = ["InvalidRequestException"];

/// What of an account's secrets is to be looked at. Nothing: AWS is not even asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretsOfInterest {
    /// What names begin with.
    pub prefixes: BTreeSet<String>,
    /// Those that are declared, with their addresses.
    pub names: BTreeMap<String, Address>,
}

/// Secrets as they are seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    pub all: Vec<Secret>,
    /// Why they could not be read. Then `all` says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub name: String,
    pub arn: String,
    pub kms_key: Option<String>,
    /// The id of the version that counts.
    pub version: Option<String>,
    pub scheduled_for_deletion: bool,
    /// Without those that AWS keeps for itself.
    pub tags: BTreeMap<String, String>,
}

/// A secret as it is created: with its value and its mark from the first moment on.
#[derive(Clone, Copy, Debug)]
pub struct NewSecret<'a> {
    pub name: &'a str,
    pub kms_key: Option<&'a str>,
    pub tags: &'a BTreeMap<String, String>,
    /// What it says beside the password.
    pub content: &'a BTreeMap<String, String>,
}

/// The password in the value of a secret.
pub(super) fn password_in(name: &str, value: Option<&str>) -> Result<secret::Secret<String>, AwsError> {
    let content: Option<serde_json::Value> = value.and_then(|text| serde_json::from_str(text).ok());
    let password = content.as_ref().and_then(|content| content["password"].as_str());
    match password.filter(|password| !password.is_empty()) {
        Some(password) => Ok(secret::Secret::new(password.to_owned())),
        None => Err(AwsError::Unfit {
            what: format!("secret {name}"),
            why: "it is no JSON object with a `password`; put one there, or delete the secret".into(),
        }),
    }
}

fn plain(list: &[Tag]) -> BTreeMap<String, String> {
    let pairs = list.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    pairs.filter(|(key, _)| !key.starts_with("aws:")).map(|(key, value)| (key.into(), value.into())).collect()
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

impl<M> Aws<M> {
    /// Those of interest. What the credentials may not see is said, and is no error.
    pub(super) async fn secrets(&self, interest: &SecretsOfInterest) -> Result<Secrets, AwsError> {
        if interest.prefixes.is_empty() {
            return Ok(Secrets::default());
        }
        match self.all_secrets(interest).await {
            Ok(all) => Ok(Secrets { all, unreadable: None }),
            Err(error) if error.is(&DENIED) => Ok(Secrets {
                all: Vec::new(),
                unreadable: Some(format!(
                    "{error}; allow secretsmanager:ListSecrets and secretsmanager:DescribeSecret \
                     (examples/aws-policies/planner.json)"
                )),
            }),
            Err(error) => Err(error),
        }
    }

    /// Lists may be five minutes behind (`ListSecrets` says so), so that they only tell which there are; each is looked at
    /// by itself, and those that are declared whether they are listed or not.
    async fn all_secrets(&self, interest: &SecretsOfInterest) -> Result<Vec<Secret>, AwsError> {
        let mut names: BTreeSet<String> = interest.names.keys().cloned().collect();
        let prefixes: Vec<&String> = interest.prefixes.iter().collect();
        for values in prefixes.chunks(VALUES) {
            let values = values.iter().map(ToString::to_string).collect();
            let filter = Filter::builder().key(FilterNameStringType::Name).set_values(Some(values)).build();
            let call = self.clients.secrets.list_secrets().filters(filter).include_planned_deletion(true);
            let mut pages = call.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::of("secretsmanager:ListSecrets", error))?;
                names.extend(page.secret_list().iter().filter_map(|secret| secret.name().map(Into::into)));
            }
        }
        let looked_at = stream::iter(names).map(async |name| self.secret(&name).await);
        let mut all: Vec<Secret> =
            looked_at.buffer_unordered(AT_ONCE).try_filter_map(async |one| Ok(one)).try_collect().await?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One secret from outside; `None` if there is none of that name.
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>, AwsError> {
        let answer = self.clients.secrets.describe_secret().secret_id(name).send().await;
        let answer = match answer.map_err(|error| AwsError::of("secretsmanager:DescribeSecret", error)) {
            Ok(answer) => answer,
            Err(error) if error.is(&MISSING) => return Ok(None),
            Err(error) => return Err(error),
        };
        let versions = answer.version_ids_to_stages().into_iter().flatten();
        let mut current = versions.filter(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
        Ok(Some(Secret {
            name: answer.name().unwrap_or(name).into(),
            arn: answer.arn().unwrap_or_default().into(),
            kms_key: answer
                .kms_key_id()
                .filter(|key| !key.ends_with("alias/aws/secretsmanager"))
                .map(Into::into),
            version: current.next().map(|(version, _)| version.clone()),
            scheduled_for_deletion: answer.deleted_date().is_some(),
            tags: plain(answer.tags()),
        }))
    }
}

impl Aws<ReadWrite> {
    /// Makes a password and a secret with it; the password is not kept. `false` if a secret of that name exists.
    pub async fn create_secret(&self, new: NewSecret<'_>) -> Result<bool, AwsError> {
        let call = self.clients.secrets.get_random_password().password_length(PASSWORD);
        let answer = call.exclude_punctuation(true).send().await;
        let answer = answer.map_err(|error| AwsError::of("secretsmanager:GetRandomPassword", error))?;
        let mut content = new.content.clone();
        content.insert("password".into(), answer.random_password().unwrap_or_default().into());
        let text = serde_json::to_string(&content).unwrap_or_default();
        let call = self.clients.secrets.create_secret().name(new.name).secret_string(text);
        let call = call.set_kms_key_id(new.kms_key.map(Into::into)).set_tags(Some(tags(new.tags)));
        match call.send().await.map_err(|error| AwsError::of("secretsmanager:CreateSecret", error)) {
            Ok(_) => Ok(true),
            Err(error) if error.is(&EXISTS) || error.is(&INVALID) => {
                // A name that is scheduled for deletion is told as an invalid request.
                if self.secret(new.name).await?.is_some() { Ok(false) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// The password in one version of a secret.
    pub async fn password(&self, name: &str, version: &str) -> Result<secret::Secret<String>, AwsError> {
        let call = self.clients.secrets.get_secret_value().secret_id(name).version_id(version);
        let answer = call.send().await;
        let answer = answer.map_err(|error| AwsError::of("secretsmanager:GetSecretValue", error))?;
        password_in(name, answer.secret_string())
    }

    pub async fn restore_secret(&self, name: &str) -> Result<(), AwsError> {
        let answer = self.clients.secrets.restore_secret().secret_id(name).send().await;
        answer.map(drop).map_err(|error| AwsError::of("secretsmanager:RestoreSecret", error))
    }

    pub async fn set_secret_key(&self, name: &str, key: &str) -> Result<(), AwsError> {
        let answer = self.clients.secrets.update_secret().secret_id(name).kms_key_id(key).send().await;
        answer.map(drop).map_err(|error| AwsError::of("secretsmanager:UpdateSecret", error))
    }

    pub async fn tag_secret(&self, name: &str, added: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let call = self.clients.secrets.tag_resource().secret_id(name).set_tags(Some(tags(added)));
        call.send().await.map(drop).map_err(|error| AwsError::of("secretsmanager:TagResource", error))
    }

    pub async fn untag_secret(&self, name: &str, keys: Vec<String>) -> Result<(), AwsError> {
        let call = self.clients.secrets.untag_resource().secret_id(name).set_tag_keys(Some(keys));
        call.send().await.map(drop).map_err(|error| AwsError::of("secretsmanager:UntagResource", error))
    }

    /// It can be restored until the window has passed.
    pub async fn delete_secret(&self, name: &str) -> Result<(), AwsError> {
        let call =
            self.clients.secrets.delete_secret().secret_id(name).recovery_window_in_days(RECOVERY_DAYS);
        match call.send().await.map_err(|error| AwsError::of("secretsmanager:DeleteSecret", error)) {
            Ok(_) => Ok(()),
            Err(error) if error.is(&MISSING) => Ok(()),
            // The answer to an earlier try was lost.
            Err(error) if error.is(&INVALID) => match self.secret(name).await? {
                Some(secret) if !secret.scheduled_for_deletion => Err(error),
                _ => Ok(()),
            },
            Err(error) => Err(error),
        }
    }
}
