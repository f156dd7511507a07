//! The subnets of a cluster.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Owner, Tags, belongs_to, exists_already, foreign, is_busy, is_missing};
use crate::{
    engine::{Action, Error, Found, Outputs, Removal, Resource, Verdict},
    model::Address,
    providers::{
        ReadWrite,
        aws::{Aws, Estate, Interest, estate::SubnetGroup},
    },
    resources::{Effects, Facts, Handle, Recognise},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuroraSubnetGroup {
    /// The cluster's name.
    pub cluster: String,
    pub name: String,
    pub subnets: BTreeSet<String>,
    pub tags: Tags,
    #[serde(skip)]
    pub facts: Facts<GroupFacts>,
}

#[derive(Clone, Debug, Default)]
pub struct GroupFacts {
    pub arn: String,
    pub environment: Option<String>,
}

impl AuroraSubnetGroup {
    pub fn address(cluster: &str) -> Address {
        Address::new("aurora_subnet_group", cluster)
    }
}

impl Resource for AuroraSubnetGroup {
    fn depends_on(&self) -> Vec<Address> {
        Vec::new()
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.name == before.name {
            Verdict::InPlace
        } else {
            Verdict::Refuse(format!(
                "the subnet group of cluster {} is {}; a cluster keeps its group",
                self.cluster, before.name
            ))
        }
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }

    fn environment(&self) -> Option<&str> {
        self.facts.environment.as_deref()
    }
}

impl Effects for AuroraSubnetGroup {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let subnets = |group: &Self| group.subnets.iter().cloned().collect::<Vec<_>>().join(", ");
        match action {
            Action::Create { new } => {
                vec![format!("rds:CreateDBSubnetGroup {} [{}]", new.name, subnets(new))]
            }
            Action::Update { old, new } => {
                let mut calls = Vec::new();
                if old.subnets != new.subnets {
                    calls.push(format!("rds:ModifyDBSubnetGroup {} [{}]", new.name, subnets(new)));
                }
                if old.tags != new.tags {
                    calls.push(format!("rds:AddTagsToResource, rds:RemoveTagsFromResource {}", new.name));
                }
                calls
            }
            Action::Delete { old } => vec![format!("rds:DeleteDBSubnetGroup {}", old.name)],
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Recognise for AuroraSubnetGroup {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let ours = |group: &SubnetGroup| {
            // It has the cluster's own identifier; what has more behind it is another's.
            let cluster = belongs_to(&group.name, estate, interest).filter(|(_, rest)| rest.is_empty())?.0;
            let owner = Owner::of(group.tags.as_ref(), interest);
            let resource = Self {
                cluster: cluster.clone(),
                name: group.name.clone(),
                subnets: group.subnets.keys().cloned().collect(),
                tags: group.tags.clone().unwrap_or_default(),
                facts: Facts(GroupFacts { arn: group.arn.clone(), environment: owner.environment.clone() }),
            };
            let Owner { owned, protected, .. } = owner;
            let found = Found { resource, outputs: Outputs::new(), owned, protected };
            Some((Self::address(&cluster), found))
        };
        estate.subnet_groups.iter().filter_map(ours).collect()
    }
}

impl Handle<AuroraSubnetGroup> for Aws<ReadWrite> {
    async fn create(&self, new: &AuroraSubnetGroup, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let description = format!("Subnets of cluster {}", new.cluster);
        match self.create_subnet_group(&new.name, &description, &new.subnets, &new.tags).await {
            Err(error) if exists_already(&error) => {
                let interest = Interest::of_one(&new.tags, &new.name, &new.cluster);
                let estate = self.groups(&interest).await?;
                let found = AuroraSubnetGroup::recognise(&estate, &interest);
                match found.into_iter().map(|(_, found)| found).find(|found| found.owned) {
                    Some(found) => Handle::update(self, &found.resource, new, progress).await,
                    None => Err(foreign(format!("subnet group {}", new.name))),
                }
            }
            other => Ok(other.map(|()| Outputs::new())?),
        }
    }

    async fn update(
        &self,
        old: &AuroraSubnetGroup,
        new: &AuroraSubnetGroup,
        _: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        if old.subnets != new.subnets {
            self.modify_subnet_group(&new.name, &new.subnets).await?;
        }
        self.retag(&old.facts.arn, &old.tags, &new.tags).await?;
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &AuroraSubnetGroup, progress: &dyn Fn(&str)) -> Result<(), Error> {
        self.patiently(progress, async || self.delete_subnet_group(&old.name).await, is_busy, is_missing)
            .await
    }
}
