//! Readers that come and go with the load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{belongs_to, cluster::AuroraCluster, instance::AuroraInstance};
use crate::{
    engine::{Action, Error, Found, Outputs, Removal, Resource, Verdict},
    model::{Address, mark::tag},
    providers::{
        ReadWrite,
        aws::{
            Aws, Estate, Interest,
            estate::{Scaling, ScalingPolicy},
        },
    },
    resources::{Effects, Handle, Recognise},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuroraAutoscaling {
    pub cluster: String,
    /// The cluster's identifier.
    pub identifier: String,
    pub min: u8,
    pub max: u8,
    pub policies: BTreeMap<String, ScalingPolicy>,
}

impl AuroraAutoscaling {
    pub fn address(cluster: &str) -> Address {
        Address::new("aurora_autoscaling", cluster)
    }
}

impl Resource for AuroraAutoscaling {
    fn depends_on(&self) -> Vec<Address> {
        vec![AuroraCluster::address(&self.cluster), AuroraInstance::address(&self.cluster, "1")]
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }
}

impl Effects for AuroraAutoscaling {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let put = |new: &Self| {
            let register = format!(
                "application-autoscaling:RegisterScalableTarget cluster:{} ({} to {})",
                new.identifier, new.min, new.max
            );
            let policies = new.policies.iter().map(|(name, policy)| {
                format!(
                    "application-autoscaling:PutScalingPolicy {name} ({} at {})",
                    policy.metric, policy.target
                )
            });
            std::iter::once(register).chain(policies).collect::<Vec<_>>()
        };
        match action {
            Action::Create { new } => put(new),
            Action::Update { old, new } => {
                let gone = old.policies.keys().filter(|name| !new.policies.contains_key(*name));
                let gone = gone.map(|name| format!("application-autoscaling:DeleteScalingPolicy {name}"));
                put(new).into_iter().chain(gone).collect()
            }
            Action::Delete { old } => {
                vec![format!("application-autoscaling:DeregisterScalableTarget cluster:{}", old.identifier)]
            }
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Recognise for AuroraAutoscaling {
    /// It has no mark of its own: it is the cluster's.
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let found = |scaling: &Scaling| {
            let (cluster, _) =
                belongs_to(&scaling.cluster, estate, interest).filter(|(_, rest)| rest.is_empty())?;
            let tags = &estate.cluster(&scaling.cluster)?.spec.tags;
            let resource = Self {
                cluster: cluster.clone(),
                identifier: scaling.cluster.clone(),
                min: scaling.min,
                max: scaling.max,
                policies: scaling.policies.clone(),
            };
            let owned = tag::environment(tags) == Some(interest.environment.as_str());
            Some((
                Self::address(&cluster),
                Found { resource, outputs: Outputs::new(), owned, protected: false },
            ))
        };
        estate.scaling.iter().filter_map(found).collect()
    }
}

impl Handle<AuroraAutoscaling> for Aws<ReadWrite> {
    async fn create(&self, new: &AuroraAutoscaling, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        self.put_scaling(&new.identifier, new.min, new.max, &new.policies).await?;
        Ok(Outputs::new())
    }

    async fn update(
        &self,
        old: &AuroraAutoscaling,
        new: &AuroraAutoscaling,
        _: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        self.put_scaling(&new.identifier, new.min, new.max, &new.policies).await?;
        for name in old.policies.keys().filter(|name| !new.policies.contains_key(*name)) {
            self.delete_scaling_policy(&new.identifier, name).await?;
        }
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &AuroraAutoscaling, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(self.end_scaling(&old.identifier).await?)
    }
}
