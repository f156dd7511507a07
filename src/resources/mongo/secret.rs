//! A secret of AWS Secrets Manager: the password of a user in MongoDB, made by AWS and known to nobody who plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{path, removal, subject};
use crate::{
    engine::{Action, Error, Found, Known, Output, Outputs, Removal, Resource, Verdict, World},
    model::{
        Address,
        mark::{Subject, tag},
    },
    providers::{
        ReadWrite,
        aws::{
            Aws, AwsError, Estate, Interest,
            secrets::{NewSecret, RECOVERY_DAYS, Secret},
        },
    },
    resources::{Effects, Facts, Handle, Recognise, aurora::cluster::AuroraCluster},
};

/// What the secret says beside the password.
pub type Content = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MongoSecret {
    pub name: String,
    /// The ARN of the key of KMS; nothing for the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// It is gone in some days, and can be had back until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scheduled_for_deletion: bool,
    pub tags: BTreeMap<String, String>,
    #[serde(skip)]
    pub content: Facts<Content>,
}

impl MongoSecret {
    pub fn address(cluster: &str, subject: &Subject) -> Address {
        Address::new("mongo_secret", &format!("{cluster}/{}", path(subject)))
    }

    /// Stands for all of them, so that they can be said to be unreadable; no such thing exists by itself.
    pub fn folder(environment: &str) -> Address {
        Address::new("secret_path", &format!("infra/{environment}/mongo"))
    }

    pub(in crate::resources) fn survey<R>(estate: &Estate, interest: &Interest, world: &mut World<R>) {
        if let Some(why) = &estate.secrets.unreadable {
            world.unreadable.insert(Self::folder(&interest.environment), why.clone());
        }
    }

    fn of(secret: &Secret) -> Self {
        Self {
            name: secret.name.clone(),
            kms_key: secret.kms_key.clone(),
            scheduled_for_deletion: secret.scheduled_for_deletion,
            tags: secret.tags.clone(),
            content: Facts::default(),
        }
    }

    fn subject(&self) -> Option<(String, Subject)> {
        let path = self.tags.get(tag::ID)?.strip_prefix("mongo_secret.")?;
        let (cluster, path) = path.split_once('/')?;
        Some((cluster.to_owned(), subject(path)))
    }
}

impl Recognise for MongoSecret {
    /// Those that are ours, or have a name that ours have.
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let of = |secret: &Secret| {
            let marked = tag::environment(&secret.tags) == Some(interest.environment.as_str());
            let id = secret.tags.get(tag::ID).filter(|id| marked && id.starts_with("mongo_secret."));
            let declared = interest.secrets.names.get(&secret.name).cloned();
            let address = declared
                .or_else(|| id.and_then(|id| id.parse().ok()))
                .unwrap_or_else(|| Address::new("mongo_secret", &secret.name));
            let version = secret.version.as_ref().map(|version| (Output::SecretVersion, version.clone()));
            let found = Found {
                owned: id.is_some_and(|id| id == address.as_str()),
                protected: secret.tags.get(tag::PROTECT).is_some_and(|value| value == "true"),
                outputs: [(Output::Arn, secret.arn.clone())].into_iter().chain(version).collect(),
                resource: Self::of(secret),
            };
            (address, found)
        };
        // What goes anyway, and nobody wants back, is as good as gone.
        let stays = |secret: &&Secret| {
            !secret.scheduled_for_deletion || interest.secrets.names.contains_key(&secret.name)
        };
        estate.secrets.all.iter().filter(stays).map(of).collect()
    }
}

impl Resource for MongoSecret {
    fn depends_on(&self) -> Vec<Address> {
        let environment = self.tags.get(tag::ENVIRONMENT).map(String::as_str).unwrap_or_default();
        vec![Self::folder(environment)]
    }

    fn adopt(&mut self, found: &Self) {
        if self.kms_key.is_none() {
            self.kms_key.clone_from(&found.kms_key);
        }
    }

    fn bind(&mut self, known: &Known) {
        if let Some(key) = &mut self.kms_key
            && let Some(arn) = known.get(&AuroraCluster::key_of(key)).and_then(|told| told.get(&Output::Arn))
        {
            key.clone_from(arn);
        }
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.name == before.name {
            Verdict::InPlace
        } else {
            Verdict::Replace(format!("the secret is called {}", before.name))
        }
    }

    fn removal(&self) -> Removal {
        if self.scheduled_for_deletion {
            // It goes by itself.
            return Removal::Implied;
        }
        match self.subject() {
            Some((cluster, subject)) => removal("secret", &cluster, Some(&subject)),
            None => Removal::Delete,
        }
    }

    fn environment(&self) -> Option<&str> {
        tag::environment(&self.tags)
    }
}

/// One call that changes a secret.
enum Call {
    Restore,
    Key(String),
    Tag(BTreeMap<String, String>),
    Untag(Vec<String>),
}

fn calls(old: &MongoSecret, new: &MongoSecret) -> Vec<Call> {
    let mut calls = Vec::new();
    if old.scheduled_for_deletion && !new.scheduled_for_deletion {
        calls.push(Call::Restore);
    }
    if let Some(key) = new.kms_key.as_ref().filter(|key| old.kms_key.as_ref() != Some(*key)) {
        calls.push(Call::Key(key.clone()));
    }
    let added = new.tags.iter().filter(|(key, value)| old.tags.get(*key) != Some(value));
    let added: BTreeMap<String, String> = added.map(|(key, value)| (key.clone(), value.clone())).collect();
    let gone: Vec<String> = old.tags.keys().filter(|key| !new.tags.contains_key(*key)).cloned().collect();
    // The mark is written before anything of it is taken away.
    calls.extend((!added.is_empty()).then_some(Call::Tag(added)));
    calls.extend((!gone.is_empty()).then_some(Call::Untag(gone)));
    calls
}

impl Call {
    fn words(&self, name: &str) -> String {
        match self {
            Self::Restore => format!("secretsmanager:RestoreSecret {name}"),
            Self::Key(key) => format!("secretsmanager:UpdateSecret {name} ({key})"),
            Self::Tag(tags) => {
                let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("secretsmanager:TagResource {name} ({})", tags.join(", "))
            }
            Self::Untag(keys) => format!("secretsmanager:UntagResource {name} ({})", keys.join(", ")),
        }
    }

    async fn make(self, aws: &Aws<ReadWrite>, name: &str) -> Result<(), AwsError> {
        match self {
            Self::Restore => aws.restore_secret(name).await,
            Self::Key(key) => aws.set_secret_key(name, &key).await,
            Self::Tag(tags) => aws.tag_secret(name, &tags).await,
            Self::Untag(keys) => aws.untag_secret(name, keys).await,
        }
    }
}

impl Effects for MongoSecret {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let create = |new: &Self| {
            vec![
                "secretsmanager:GetRandomPassword".to_owned(),
                format!("secretsmanager:CreateSecret {}", new.name),
            ]
        };
        let delete = |old: &Self| {
            format!("secretsmanager:DeleteSecret {} (can be restored for {RECOVERY_DAYS} days)", old.name)
        };
        match action {
            Action::Create { new } => create(new),
            Action::Update { old, new } => calls(old, new).iter().map(|call| call.words(&new.name)).collect(),
            Action::Delete { old } => vec![delete(old)],
            Action::Replace { old, new, .. } => std::iter::once(delete(old)).chain(create(new)).collect(),
            Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

/// Whether a secret that stands in the way is the one that is to be made.
fn is_ours(there: &MongoSecret, new: &MongoSecret) -> bool {
    let same = |key: &str| there.tags.get(key) == new.tags.get(key);
    there.environment().is_some() && [tag::MANAGED, tag::ENVIRONMENT, tag::ID].into_iter().all(same)
}

fn unfit(name: &str, why: &str) -> Error {
    Box::new(AwsError::Unfit { what: format!("secret {name}"), why: why.into() })
}

impl Handle<MongoSecret> for Aws<ReadWrite> {
    async fn create(&self, new: &MongoSecret, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let secret = NewSecret {
            name: &new.name,
            kms_key: new.kms_key.as_deref(),
            tags: &new.tags,
            content: &new.content,
        };
        if !self.create_secret(secret).await? {
            let Some(there) = self.secret(&new.name).await? else {
                return Err(unfit(
                    &new.name,
                    "AWS says that it exists, but does not find it; run infra again",
                ));
            };
            let there = MongoSecret::of(&there);
            if !is_ours(&there, new) {
                let whose = there.environment().map_or_else(
                    || "it does not carry our mark".to_owned(),
                    |environment| format!("it carries the mark of environment {environment}"),
                );
                let why = format!(
                    "a secret of this name exists, and {whose}; it is left alone. Delete or adopt it"
                );
                return Err(unfit(&new.name, &why));
            }
            for call in calls(&there, new) {
                call.make(self, &new.name).await?;
            }
        }
        // Asked for again, so that the version is the one that counts, whoever made it.
        let made = self.secret(&new.name).await?;
        let (arn, version) = made.map(|made| (made.arn, made.version)).unwrap_or_default();
        let Some(version) = version else {
            return Err(unfit(&new.name, "it was made, but has no current version; run infra again"));
        };
        Ok(Outputs::from([(Output::Arn, arn), (Output::SecretVersion, version)]))
    }

    async fn update(&self, old: &MongoSecret, new: &MongoSecret, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        for call in calls(old, new) {
            call.make(self, &new.name).await?;
        }
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &MongoSecret, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(self.delete_secret(&old.name).await?)
    }
}
