//! Giving our mark to what exists without one: from then on it is ours to change.

use super::{
    Any, Live,
    aurora::{
        cluster::AuroraCluster, instance::AuroraInstance, parameter_group::AuroraParameterGroup,
        subnet_group::AuroraSubnetGroup,
    },
    iam_role::IamRole,
};
use crate::{
    engine::{Desired, Error, World},
    model::{Address, mark::tag},
    providers::ReadWrite,
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
    if let Some(other) = crate::engine::Resource::environment(&found.resource) {
        return Err(NotAdoptable::OtherEnvironment(address.clone(), other.into()));
    }
    if arn(&found.resource).is_none() && IamRole::try_from(found.resource.clone()).is_err() {
        return Err(NotAdoptable::NoMark(address.clone()));
    }
    Ok(&found.resource)
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

impl Live<ReadWrite> {
    /// Writes the mark, and nothing else.
    pub async fn adopt(&self, address: &Address, found: &Any, protect: bool) -> Result<(), Error> {
        let marks = tag::of(&self.environment, address.as_str(), protect);
        let aws = self.aws()?;
        match (arn(found), IamRole::try_from(found.clone())) {
            (Some(arn), _) => aws.retag(&arn, &std::collections::BTreeMap::new(), &marks).await?,
            (None, Ok(role)) => aws.tag_role(&role.name, &marks).await?,
            (None, Err(())) => return Err(Box::new(NotAdoptable::NoMark(address.clone()))),
        }
        Ok(())
    }
}
