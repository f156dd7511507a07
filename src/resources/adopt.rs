//! Giving our mark to what exists without one: from then on it is ours to change.

use std::collections::BTreeMap;

use super::{
    Any, Live, Ours, Seen,
    aurora::{
        cluster::AuroraCluster, instance::AuroraInstance, parameter_group::AuroraParameterGroup,
        subnet_group::AuroraSubnetGroup,
    },
    iam_role::IamRole,
    inside,
    live::server,
    mongo::{self, role::MongoRole, secret::MongoSecret, user::MongoUser},
    pg_database::PgDatabase,
    pg_extension::PgExtension,
    pg_role::PgRole,
    pg_schema::PgSchema,
    sql::{Dialect, acting_as, comment},
};
use crate::{
    engine::{Desired, Error, Resource, World},
    model::{
        Address,
        mark::{Mark, tag},
    },
    providers::{
        ReadWrite,
        postgres::{Catalog, Ending, Place, Script, Task, ident},
    },
};

/// Why something cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdoptable {
    #[error("{0} is not declared in the environment's YAML; declare it, then adopt it")]
    Undeclared(Address),
    #[error("{0} does not exist; infra apply makes it")]
    Missing(Address),
    #[error("{0} carries the mark of this environment already")]
    Ours(Address),
    #[error("{0} carries the mark of environment {1}, which has to let go of it first")]
    OtherEnvironment(Address, String),
    #[error("{0} has no mark of its own; it belongs to whatever it is part of")]
    NoMark(Address),
    #[error("{0} belongs to a superuser, so nobody else can write the mark on it")]
    OfSuperuser(Address),
}

/// Checks that something may be adopted. Pure.
///
/// # Errors
/// When it is not there, not declared, or somebody's already.
pub fn adoptable<'a>(
    address: &Address,
    desired: &Desired<Any>,
    world: &'a World<Any>,
) -> Result<&'a Any, NotAdoptable> {
    let found = world.found.get(address);
    if !desired.resources.contains_key(address) {
        return Err(NotAdoptable::Undeclared(address.clone()));
    }
    let found = found.ok_or_else(|| NotAdoptable::Missing(address.clone()))?;
    if found.owned {
        return Err(NotAdoptable::Ours(address.clone()));
    }
    if let Some(other) = found.resource.environment() {
        return Err(NotAdoptable::OtherEnvironment(address.clone(), other.into()));
    }
    let any = &found.resource;
    if let Ok(extension) = PgExtension::try_from(any.clone())
        && !extension.can_be_marked()
    {
        return Err(NotAdoptable::OfSuperuser(address.clone()));
    }
    let by_name = IamRole::try_from(any.clone()).is_ok() || MongoSecret::try_from(any.clone()).is_ok();
    if arn(any).is_none() && !by_name && !any.is_in_mongo() && commented(any).is_none() {
        return Err(NotAdoptable::NoMark(address.clone()));
    }
    Ok(any)
}

/// Under which RDS takes tags.
fn arn(any: &Any) -> Option<String> {
    let group = |group: AuroraSubnetGroup| group.facts.arn.clone();
    let parameters = |group: AuroraParameterGroup| group.facts.arn.clone();
    let instance = |instance: AuroraInstance| instance.facts.arn.clone();
    AuroraCluster::try_from(any.clone())
        .map(|cluster| cluster.facts.arn.clone())
        .or_else(|()| AuroraInstance::try_from(any.clone()).map(instance))
        .or_else(|()| AuroraSubnetGroup::try_from(any.clone()).map(group))
        .or_else(|()| AuroraParameterGroup::try_from(any.clone()).map(parameters))
        .ok()
        .filter(|arn| !arn.is_empty())
}

/// What bears its mark as a comment: where that is written, on what, and who must write it (none: the admin).
struct Commented {
    place: Place,
    target: String,
    owner: Option<String>,
    admin_roles: std::collections::BTreeSet<String>,
}

fn commented(any: &Any) -> Option<Commented> {
    if let Ok(role) = PgRole::try_from(any.clone()) {
        let target = format!("ROLE {}", ident(&role.name));
        let admin_roles = role.facts.0.admin_roles;
        return Some(Commented { place: Place::Maintenance, target, owner: None, admin_roles });
    }
    if let Ok(database) = PgDatabase::try_from(any.clone()) {
        let target = format!("DATABASE {}", ident(&database.facts.name));
        let admin_roles = database.facts.0.admin_roles;
        let owner = Some(database.owner);
        return Some(Commented { place: Place::Maintenance, target, owner, admin_roles });
    }
    if let Ok(schema) = PgSchema::try_from(any.clone()) {
        let target = format!("SCHEMA {}", ident(&schema.facts.name));
        let (place, admin_roles) = (Place::Database(schema.database), schema.facts.0.admin_roles);
        return Some(Commented { place, target, owner: Some(schema.owner), admin_roles });
    }
    let extension = PgExtension::try_from(any.clone()).ok()?;
    let target = format!("EXTENSION {}", ident(&extension.name));
    let (place, facts) = (Place::Database(extension.database), extension.facts.0);
    Some(Commented { place, target, owner: facts.owner, admin_roles: facts.admin_roles })
}

/// The statements that write the mark in front of what somebody has written there, and nothing else.
fn script(any: &Any, mark: &Mark, note: Option<&String>, dialect: Dialect) -> Option<Script> {
    let Commented { place, target, owner, admin_roles } = commented(any)?;
    let mark = Mark { note: note.cloned(), ..mark.clone() };
    let statements = vec![comment(&target, Some(&mark))];
    let statements = match owner {
        Some(owner) => acting_as(&owner, &admin_roles, dialect, statements),
        None => statements,
    };
    Some(Script::transaction(place, statements))
}

/// The mark that is declared.
fn declared_mark(desired: &Desired<Any>, address: &Address) -> Option<Mark> {
    let any = desired.resources.get(address)?;
    PgRole::try_from(any.clone())
        .map(|role| role.mark)
        .or_else(|()| PgDatabase::try_from(any.clone()).map(|database| database.mark))
        .or_else(|()| PgSchema::try_from(any.clone()).map(|schema| schema.mark))
        .or_else(|()| PgExtension::try_from(any.clone()).map(|extension| extension.mark))
        .ok()
        .flatten()
}

/// The comment on something, in what was read of the clusters.
fn comment_of<'a>(catalogs: &'a mut [Catalog], any: &Any) -> Option<&'a mut Option<String>> {
    let cluster = any.cluster()?;
    let catalog = catalogs.iter_mut().find(|catalog| catalog.cluster == cluster)?;
    if let Ok(role) = PgRole::try_from(any.clone()) {
        let found = catalog.shared.roles.iter_mut().find(|entry| entry.name == role.name);
        return found.map(|entry| &mut entry.comment);
    }
    if let Ok(database) = PgDatabase::try_from(any.clone()) {
        let found = catalog.shared.databases.iter_mut().find(|entry| entry.name == database.facts.name);
        return found.map(|entry| &mut entry.comment);
    }
    if let Ok(schema) = PgSchema::try_from(any.clone()) {
        let content = catalog.databases.get_mut(&schema.database)?.as_mut().ok()?;
        let found = content.schemas.iter_mut().find(|entry| entry.name == schema.facts.name);
        return found.map(|entry| &mut entry.comment);
    }
    let extension = PgExtension::try_from(any.clone()).ok()?;
    let content = catalog.databases.get_mut(&extension.database)?.as_mut().ok()?;
    let found = content.extensions.iter_mut().find(|entry| entry.name == extension.name);
    found.map(|entry| &mut entry.comment)
}

/// The world as it would be if all that can be adopted were. Pure: nothing is written.
pub fn as_adopted(seen: Seen, desired: &Desired<Any>, ours: Ours<'_>) -> World<Any> {
    let Seen { mut world, mut catalogs, .. } = seen;
    let adopted: BTreeMap<Address, Any> = (desired.resources.keys())
        .filter_map(|address| Some((address.clone(), adoptable(address, desired, &world).ok()?.clone())))
        .collect();
    for (address, any) in &adopted {
        if let (Some(mark), Some(text)) = (declared_mark(desired, address), comment_of(&mut catalogs, any)) {
            *text = Some(mark.to_string());
        } else if let Some(found) = world.found.get_mut(address) {
            found.owned = true;
        }
    }
    for catalog in &catalogs {
        world.found.retain(|_, found| found.resource.cluster() != Some(catalog.cluster.as_str()));
        world.found.extend(inside(catalog, ours));
    }
    world
}

impl Live<ReadWrite> {
    /// Writes the marks, and nothing else. What lies in one cluster is written together: all of it, or none.
    ///
    /// # Errors
    /// The first failure, with the address that it is about; what was written before it stays.
    pub async fn adopt(
        &self,
        adopted: &[(Address, Any)],
        seen: &mut Seen,
        desired: &Desired<Any>,
        protect: bool,
        done: &mut dyn FnMut(&Address),
    ) -> Result<(), (Address, Error)> {
        let mut clusters: BTreeMap<&str, Vec<&(Address, Any)>> = BTreeMap::new();
        for one in adopted {
            if let Some(cluster) = one.1.cluster() {
                clusters.entry(cluster).or_default().push(one);
            } else {
                self.mark(&one.0, &one.1, protect).await.map_err(|error| (one.0.clone(), error))?;
                done(&one.0);
            }
        }
        let known = seen.world.known();
        for (cluster, mut adopted) in clusters {
            // Shared catalogs first, then one database after the other: neighbours at one place are one transaction.
            adopted.sort_by_key(|(address, any)| (commented(any).map(|commented| commented.place), address));
            let Some(server) = server(&known, cluster) else {
                let address = adopted.first().map(|(address, _)| address.clone());
                let address = address.unwrap_or_else(|| Address::new("cluster", cluster));
                return Err((address.clone(), Box::new(NotAdoptable::Missing(address))));
            };
            let tasks: Vec<Task> = (adopted.iter())
                .map(|(address, any)| {
                    let note = comment_of(&mut seen.catalogs, any).and_then(|text| text.clone());
                    let mark = declared_mark(desired, address);
                    let script = mark.and_then(|mark| script(any, &mark, note.as_ref(), server.dialect));
                    Task { script: script.unwrap_or_default() }
                })
                .collect();
            let endings = self.postgres.run(&server.endpoint, &tasks).await;
            let mut failed = None;
            for ((address, _), ending) in adopted.iter().zip(endings) {
                match ending {
                    Ending::Done => done(address),
                    Ending::Failed(error) => {
                        failed = failed.or(Some((address.clone(), Box::new(error) as Error)));
                    }
                    Ending::RolledBack => {}
                }
            }
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Writes the mark on what lives in no cluster.
    async fn mark(&self, address: &Address, found: &Any, protect: bool) -> Result<(), Error> {
        if found.is_in_mongo() {
            let mark = mongo::mark(address.path(), &self.environment, protect);
            if let Ok(user) = MongoUser::try_from(found.clone()) {
                user.adopt_by(self.replicas(&user.cluster)?, &mark).await?;
            } else if let Ok(role) = MongoRole::try_from(found.clone()) {
                role.adopt_by(self.replicas(&role.cluster)?, &mark).await?;
            }
            return Ok(());
        }
        let marks = tag::of(&self.environment, address.as_str(), protect);
        let aws = self.aws()?;
        if let Ok(secret) = MongoSecret::try_from(found.clone()) {
            return Ok(aws.tag_secret(&secret.name, &marks).await?);
        }
        match (arn(found), IamRole::try_from(found.clone())) {
            (Some(arn), _) => aws.retag(&arn, &BTreeMap::new(), &marks).await?,
            (None, Ok(role)) => aws.tag_role(&role.name, &marks).await?,
            (None, Err(())) => return Err(Box::new(NotAdoptable::NoMark(address.clone()))),
        }
        Ok(())
    }
}
