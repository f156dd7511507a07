//! A user in MongoDB: what a service, a person or `infra` itself logs in as there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Enlist, Naming, elsewhere, name, named, owned, path, removal,
    role::{MongoRole, in_the_way, words},
    secret::MongoSecret,
    unit,
};
use crate::{
    engine::{Action, Error, Found, Known, Late, Output, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
    },
    providers::{
        ReadWrite,
        mongo::{
            Catalog, Mongo, MongoError,
            admin::{Made, NewUser, Password},
            catalog::{self, ADMIN, EXTERNAL, Grant},
        },
    },
    resources::{Effects, Facts, Handle, Live},
};

/// The only mechanism by which our users prove that they have a password.
const SCRAM: &str = "SCRAM-SHA-256";
/// What MongoDB says of users with a certificate.
const EXTERNALLY: &str = "external";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MongoUser {
    /// The replica set's name in the YAML.
    pub cluster: String,
    pub name: String,
    /// `admin`, or `$external` for one with a certificate.
    pub database: String,
    pub roles: BTreeSet<Grant>,
    pub mechanisms: BTreeSet<String>,
    /// From where he must come. Declared is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restrictions: BTreeSet<String>,
    /// The version of his secret that his password is from; nothing for one with a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_version: Option<Late>,
    pub mark: Option<Mark>,
    /// The name of his secret.
    #[serde(skip)]
    pub secret: Facts<Option<String>>,
    /// Whether `infra` is logged in as this user.
    #[serde(skip)]
    pub ourselves: Facts<bool>,
}

impl MongoUser {
    /// With a password, which is in a secret of this name.
    pub fn by_password(cluster: &str, mark: Mark, roles: BTreeSet<Grant>, secret: String) -> Self {
        let told_by = MongoSecret::address(cluster, &mark.subject);
        Self {
            cluster: cluster.into(),
            name: name(&mark.subject),
            database: ADMIN.into(),
            roles,
            mechanisms: [SCRAM.to_owned()].into(),
            restrictions: BTreeSet::new(),
            secret_version: Some(Late::after(told_by, Output::SecretVersion)),
            mark: Some(mark),
            secret: Facts(Some(secret)),
            ourselves: Facts::default(),
        }
    }

    /// With a certificate, whose subject is this with the user's name for `{name}`.
    pub fn by_certificate(cluster: &str, mark: Mark, roles: BTreeSet<Grant>, subject: &str) -> Self {
        Self {
            name: subject.replace("{name}", &name(&mark.subject)),
            database: EXTERNAL.into(),
            mechanisms: [EXTERNALLY.to_owned()].into(),
            secret_version: None,
            ..Self::by_password(cluster, mark, roles, String::new())
        }
    }

    pub fn address(cluster: &str, subject: &Subject) -> Address {
        Address::new("mongo_user", &format!("{cluster}/{}", path(subject)))
    }

    fn mark(&self) -> String {
        self.mark.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn written<'a>(&'a self, mark: &'a str, password: Option<&'a Password>) -> NewUser<'a> {
        NewUser {
            name: &self.name,
            database: &self.database,
            roles: &self.roles,
            mechanisms: &self.mechanisms,
            mark,
            password,
        }
    }

    /// A mechanism can be added only together with a password.
    fn needs_password(&self, old: &Self) -> bool {
        self.secret_version.is_some()
            && (self.secret_version != old.secret_version || !self.mechanisms.is_subset(&old.mechanisms))
    }

    fn full_name(&self) -> String {
        format!("{} in {}", self.name, self.database)
    }

    fn found(user: &catalog::User, naming: Naming<'_>, catalog: &Catalog) -> Found<Self> {
        let subject = subject_of(user, naming);
        let (mark, owned) = subject
            .as_ref()
            .map_or((None, false), |subject| owned(user.mark.as_ref(), naming.environment, subject));
        let with_password = user.database != EXTERNAL;
        let ourselves = catalog
            .ourselves
            .as_ref()
            .is_some_and(|(name, database)| *name == user.name && *database == user.database);
        let resource = Self {
            cluster: catalog.cluster.clone(),
            name: user.name.clone(),
            database: user.database.clone(),
            roles: user.roles.clone(),
            mechanisms: user.mechanisms.clone(),
            restrictions: user.restrictions.clone(),
            secret_version: user.secret_version.clone().filter(|_| with_password).map(Late::Known),
            mark,
            secret: Facts::default(),
            ourselves: Facts(ourselves),
        };
        let protected = resource.mark.as_ref().is_some_and(|mark| mark.protect);
        Found { resource, outputs: Outputs::new(), owned, protected }
    }
}

/// For whom a user is, or would be by his name.
pub(super) fn subject_of(user: &catalog::User, naming: Naming<'_>) -> Option<Subject> {
    if user.database == ADMIN {
        return named(&user.name, true);
    }
    if user.database != EXTERNAL {
        return None;
    }
    // The pattern of the names may have changed since; whom we made him for stays.
    let mark: Option<Mark> = user.mark.as_ref().and_then(|mark| mark.parse().ok());
    if let Some(mark) = mark.filter(|mark| mark.environment == naming.environment) {
        return Some(mark.subject);
    }
    let (before, behind) = naming.subject?.split_once("{name}")?;
    named(user.name.strip_prefix(before)?.strip_suffix(behind)?, true)
}

impl Enlist for MongoUser {
    fn enlist(catalog: &Catalog, naming: Naming<'_>) -> Vec<(Address, Found<Self>)> {
        let cluster = &catalog.cluster;
        let home = if naming.subject.is_some() { EXTERNAL } else { ADMIN };
        let mut all: BTreeMap<Address, Found<Self>> = BTreeMap::new();
        // Who lives where the YAML says has the address first; another with the same claim is somebody else's.
        let mut users: Vec<&catalog::User> = catalog.users.iter().collect();
        users.sort_by_key(|user| (user.database != home, user.mark.is_none(), &user.database, &user.name));
        for user in users {
            let mut found = Self::found(user, naming, catalog);
            let by_name = subject_of(user, naming).map(|subject| Self::address(cluster, &subject));
            let address = by_name.filter(|address| !all.contains_key(address)).unwrap_or_else(|| {
                found.owned = false;
                elsewhere("mongo_user", cluster, &user.database, &user.name)
            });
            // That it cannot manage itself need not be said in every plan.
            if found.owned || !found.resource.ourselves.0 || address_is_ours(&address) {
                all.insert(address, found);
            }
        }
        all.into_iter().collect()
    }
}

/// Not one of [`elsewhere`].
fn address_is_ours(address: &Address) -> bool {
    !address.path().contains('.')
}

impl Resource for MongoUser {
    fn depends_on(&self) -> Vec<Address> {
        let roles = self.roles.iter().filter_map(|grant| MongoRole::granted(&self.cluster, grant));
        let subject = self.mark.as_ref().map(|mark| &mark.subject).filter(|_| self.secret_version.is_some());
        let secret = subject.map(|subject| MongoSecret::address(&self.cluster, subject));
        roles.chain(secret).chain([super::cluster(&self.cluster)]).collect()
    }

    fn bind(&mut self, known: &Known) {
        if let Some(version) = &mut self.secret_version {
            version.bind(known);
        }
    }

    fn unbound(&self) -> Vec<&Late> {
        self.secret_version.iter().filter(|version| version.known().is_none()).collect()
    }

    fn costs(&self, before: &Self) -> Vec<String> {
        let mut costs = Vec::new();
        if self.secret_version.is_some() && self.secret_version != before.secret_version {
            costs.push("whoever has the password of before cannot log in with it any more".into());
        }
        costs
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.name == before.name && self.database == before.database {
            Verdict::InPlace
        } else {
            Verdict::Replace(format!("the user is {} by now", before.full_name()))
        }
    }

    fn removal(&self) -> Removal {
        removal("user", &self.cluster, self.mark.as_ref().map(|mark| &mark.subject))
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster))
    }
}

impl Effects for MongoUser {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let told = |verb: &str, user: &Self, password: bool| {
            let version = user.secret_version.as_ref().filter(|_| password);
            let password = version.map_or_else(String::new, |version| {
                format!(
                    "; password of version {} of the secret",
                    version.known().unwrap_or("(known after apply)")
                )
            });
            format!("{verb} {} ({}{password})", user.full_name(), words(&user.roles))
        };
        match action {
            Action::Create { new } => vec![told("createUser", new, true)],
            Action::Update { old, new } => vec![told("updateUser", new, new.needs_password(old))],
            Action::Delete { old } => vec![format!("dropUser {}", old.full_name())],
            Action::Replace { old, new, .. } => {
                vec![format!("dropUser {}", old.full_name()), told("createUser", new, true)]
            }
            Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Live<ReadWrite> {
    /// Fetched at the moment it is set, and held nowhere else.
    async fn password(&self, user: &MongoUser) -> Result<Option<Password>, Error> {
        let (Some(secret), Some(version)) = (&user.secret.0, &user.secret_version) else { return Ok(None) };
        let Some(version) = version.known() else {
            return Err(Box::new(Unknown(version.to_string())));
        };
        let value = self.aws()?.password(secret, version).await?;
        Ok(Some(Password { value, version: version.to_owned() }))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: {0} is not known")]
struct Unknown(String);

impl Handle<MongoUser> for Live<ReadWrite> {
    async fn create(&self, new: &MongoUser, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let (client, mark, password) = (self.replicas(&new.cluster)?, new.mark(), self.password(new).await?);
        let written = new.written(&mark, password.as_ref());
        if client.create_user(&written).await? == Made::Exists {
            // An earlier try made it and its answer was lost, or somebody was faster.
            let there = client.user(&new.name, &new.database).await?;
            let there = there.and_then(|user| user.mark);
            if there.as_ref() != Some(&mark) {
                return Err(in_the_way("user", &new.full_name(), there.as_ref()));
            }
            client.update_user(&written).await?;
        }
        Ok(Outputs::new())
    }

    async fn update(&self, old: &MongoUser, new: &MongoUser, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let password = if new.needs_password(old) { self.password(new).await? } else { None };
        let mark = new.mark();
        self.replicas(&new.cluster)?.update_user(&new.written(&mark, password.as_ref())).await?;
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &MongoUser, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(self.replicas(&old.cluster)?.drop_user(&old.name, &old.database).await?)
    }
}

impl MongoUser {
    pub(in crate::resources) async fn adopt_by(
        &self,
        client: &Mongo<ReadWrite>,
        mark: &Mark,
    ) -> Result<(), MongoError> {
        client.mark_user(&self.name, &self.database, &mark.to_string()).await
    }
}
