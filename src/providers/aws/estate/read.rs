//! Reading an account: everything at once, then the insides of what is ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_applicationautoscaling::types::{
    ScalableDimension, ServiceNamespace, TargetTrackingScalingPolicyConfiguration as Tracking,
};
use aws_sdk_rds::types::{Event, SourceType};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};

use super::{
    Cluster, EngineVersion, Estate, Instance, Interest, Level, ParameterGroup, Restart, Scaling,
    ScalingPolicy, SubnetGroup, convert,
};
use crate::{
    model::{mark, version::numbers},
    providers::aws::{Aws, AwsError, Probe},
};

/// Largest page that RDS gives.
pub(in crate::providers::aws) const PAGE: i32 = 100;
/// Two weeks, in minutes: as far back as RDS remembers.
const EVENTS: i32 = 20_160;
/// Calls at once for the insides.
const AT_ONCE: usize = 16;
pub(in crate::providers) const ENGINE: &str = "aurora-postgresql";

/// All items of all pages of a `Describe` call.
macro_rules! pages {
    ($action:literal, $call:expr) => {
        $call
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|error| AwsError::of($action, error))
    };
}

impl<M> Aws<M> {
    /// Reads all that concerns us: everything side by side, and what is inside of groups as soon as it is known which
    /// are ours.
    pub async fn read(&self, interest: &Interest) -> Result<Estate, AwsError> {
        let with_insides = async {
            let (clusters, groups) = futures::try_join!(self.clusters(), self.outsides())?;
            let mut estate = Estate { clusters, ..groups };
            self.insides(interest, &mut estate).await?;
            Ok(estate)
        };
        let (estate, instances, scaling, versions, keys, restarts, iam, secrets) = futures::try_join!(
            with_insides,
            self.instances(),
            self.scaling(),
            self.versions(),
            self.keys(&interest.keys),
            self.restarts(),
            Box::pin(self.iam(&interest.environment)),
            Box::pin(self.secrets(&interest.secrets)),
        )?;
        let (account, region) = (self.account.clone(), self.region.clone());
        let partition = self.partition.clone();
        Ok(Estate {
            account,
            region,
            partition,
            instances,
            scaling,
            versions,
            keys,
            restarts,
            iam,
            secrets,
            ..estate
        })
    }

    /// Each read by itself: those that failed, and what of the rest `infra doctor` looks at.
    pub async fn probe(&self, interest: &Interest) -> Probe {
        let mut refused = Vec::new();
        macro_rules! asked {
            ($answer:expr) => {
                $answer.map_err(|error| refused.push(error)).unwrap_or_default()
            };
        }
        let (clusters, instances, subnet_groups, cluster_groups, instance_groups) = futures::join!(
            self.clusters(),
            self.instances(),
            self.subnet_groups(),
            self.cluster_parameter_groups(),
            self.instance_parameter_groups(),
        );
        let (scaling, versions, keys, restarts, iam, secrets) = futures::join!(
            self.scaling(),
            self.versions(),
            self.keys(&interest.keys),
            self.restarts(),
            Box::pin(self.iam(&interest.environment)),
            Box::pin(self.secrets(&interest.secrets)),
        );
        let clusters = asked!(clusters);
        let (iam, secrets) = (asked!(iam), asked!(secrets));
        drop((asked!(instances), asked!(subnet_groups), asked!(cluster_groups), asked!(instance_groups)));
        drop((asked!(scaling), asked!(versions), asked!(keys), asked!(restarts)));
        Probe {
            refused,
            clusters,
            quotas: iam.quotas,
            unreadable: [iam.unreadable, secrets.unreadable].into_iter().flatten().collect(),
        }
    }

    /// Groups alone, with what is inside of those that are of interest.
    pub async fn groups(&self, interest: &Interest) -> Result<Estate, AwsError> {
        let mut estate = self.outsides().await?;
        self.insides(interest, &mut estate).await?;
        Ok(estate)
    }

    /// Clusters and their instances alone.
    pub async fn fleet(&self) -> Result<Estate, AwsError> {
        let (clusters, instances) = futures::try_join!(self.clusters(), self.instances())?;
        Ok(Estate { clusters, instances, ..Estate::default() })
    }

    /// Groups as they are seen from outside.
    async fn outsides(&self) -> Result<Estate, AwsError> {
        let (subnet_groups, cluster_groups, instance_groups) = futures::try_join!(
            self.subnet_groups(),
            self.cluster_parameter_groups(),
            self.instance_parameter_groups(),
        )?;
        let parameter_groups = cluster_groups.into_iter().chain(instance_groups).collect();
        Ok(Estate { subnet_groups, parameter_groups, ..Estate::default() })
    }

    pub(in crate::providers::aws) async fn clusters(&self) -> Result<Vec<Cluster>, AwsError> {
        let call = self.clients.rds.describe_db_clusters().max_records(PAGE);
        let all = pages!("rds:DescribeDBClusters", call)?;
        Ok(all.iter().filter(|cluster| cluster.engine() == Some(ENGINE)).map(convert::cluster).collect())
    }

    pub(in crate::providers::aws) async fn instances(&self) -> Result<Vec<Instance>, AwsError> {
        let call = self.clients.rds.describe_db_instances().max_records(PAGE);
        let all = pages!("rds:DescribeDBInstances", call)?;
        Ok(all.iter().filter(|instance| instance.engine() == Some(ENGINE)).map(convert::instance).collect())
    }

    async fn subnet_groups(&self) -> Result<Vec<SubnetGroup>, AwsError> {
        let call = self.clients.rds.describe_db_subnet_groups().max_records(PAGE);
        let all = pages!("rds:DescribeDBSubnetGroups", call)?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let group = |group: &aws_sdk_rds::types::DbSubnetGroup| SubnetGroup {
            name: text(group.db_subnet_group_name()).to_lowercase(),
            arn: text(group.db_subnet_group_arn()),
            description: text(group.db_subnet_group_description()),
            subnets: (group.subnets().iter())
                .map(|subnet| {
                    let zone = subnet.subnet_availability_zone().and_then(|zone| zone.name());
                    (text(subnet.subnet_identifier()), text(zone))
                })
                .collect(),
            tags: None,
        };
        Ok(all.iter().map(group).collect())
    }

    async fn cluster_parameter_groups(&self) -> Result<Vec<ParameterGroup>, AwsError> {
        let call = self.clients.rds.describe_db_cluster_parameter_groups().max_records(PAGE);
        let all = pages!("rds:DescribeDBClusterParameterGroups", call)?;
        let groups = all.iter().map(|group| {
            let (name, arn) =
                (group.db_cluster_parameter_group_name(), group.db_cluster_parameter_group_arn());
            parameter_group(Level::Cluster, name, arn, group.db_parameter_group_family())
        });
        Ok(groups.collect())
    }

    async fn instance_parameter_groups(&self) -> Result<Vec<ParameterGroup>, AwsError> {
        let call = self.clients.rds.describe_db_parameter_groups().max_records(PAGE);
        let all = pages!("rds:DescribeDBParameterGroups", call)?;
        let groups = all.iter().map(|group| {
            let (name, arn) = (group.db_parameter_group_name(), group.db_parameter_group_arn());
            parameter_group(Level::Instance, name, arn, group.db_parameter_group_family())
        });
        Ok(groups.collect())
    }

    async fn scaling(&self) -> Result<Vec<Scaling>, AwsError> {
        let (namespace, dimension) = (ServiceNamespace::Rds, ScalableDimension::RdsClusterReadReplicaCount);
        let targets = async {
            let call = self.clients.scaling.describe_scalable_targets().service_namespace(namespace.clone());
            pages!(
                "application-autoscaling:DescribeScalableTargets",
                call.scalable_dimension(dimension.clone())
            )
        };
        let policies = async {
            let call = self.clients.scaling.describe_scaling_policies().service_namespace(namespace.clone());
            pages!(
                "application-autoscaling:DescribeScalingPolicies",
                call.scalable_dimension(dimension.clone())
            )
        };
        let (targets, policies) = futures::try_join!(targets, policies)?;
        let mut all: BTreeMap<String, Scaling> = BTreeMap::new();
        let count = |number: i32| u8::try_from(number).unwrap_or_default();
        for target in &targets {
            let Some(cluster) = target.resource_id().strip_prefix("cluster:") else { continue };
            let (min, max) = (count(target.min_capacity()), count(target.max_capacity()));
            all.insert(
                cluster.into(),
                Scaling { cluster: cluster.into(), min, max, policies: BTreeMap::new() },
            );
        }
        let seconds =
            |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(300);
        for policy in &policies {
            let scaling =
                policy.resource_id().strip_prefix("cluster:").and_then(|cluster| all.get_mut(cluster));
            let Some(scaling) = scaling else { continue };
            let tracking = policy.target_tracking_scaling_policy_configuration();
            let metric = tracking.and_then(|tracking| tracking.predefined_metric_specification());
            let metric = metric.map(|metric| metric.predefined_metric_type().as_str().to_owned());
            scaling.policies.insert(
                policy.policy_name().into(),
                ScalingPolicy {
                    // What is no target tracking of a known metric is none of ours, and shows as a difference.
                    metric: metric.unwrap_or_else(|| policy.policy_type().as_str().into()),
                    target: tracking.map(Tracking::target_value).unwrap_or_default(),
                    scale_in_cooldown: seconds(tracking.and_then(Tracking::scale_in_cooldown)),
                    scale_out_cooldown: seconds(tracking.and_then(Tracking::scale_out_cooldown)),
                },
            );
        }
        Ok(all.into_values().collect())
    }

    async fn versions(&self) -> Result<Vec<EngineVersion>, AwsError> {
        let call = self.clients.rds.describe_db_engine_versions().engine(ENGINE).max_records(PAGE);
        let all = pages!("rds:DescribeDBEngineVersions", call)?;
        let mut versions: Vec<EngineVersion> = (all.iter())
            .map(|version| EngineVersion {
                version: version.engine_version().unwrap_or_default().into(),
                family: version.db_parameter_group_family().unwrap_or_default().into(),
                upgrades: (version.valid_upgrade_target().iter())
                    .filter_map(|target| Some(target.engine_version()?.to_owned()))
                    .collect(),
            })
            .collect();
        versions.sort_by_key(|version| numbers(&version.version));
        Ok(versions)
    }

    /// An alias is resolved; an ARN of a key is what it is.
    async fn keys(&self, declared: &BTreeSet<String>) -> Result<BTreeMap<String, String>, AwsError> {
        let resolve = declared.iter().map(|declared| async move {
            if declared.starts_with("arn:") && declared.contains(":key/") {
                return Ok((declared.clone(), declared.clone()));
            }
            let answer = self.clients.kms.describe_key().key_id(declared).send().await;
            let answer = answer.map_err(|error| AwsError::of("kms:DescribeKey", error))?;
            let arn = answer.key_metadata().and_then(|key| key.arn()).unwrap_or(declared);
            Ok((declared.clone(), arn.to_owned()))
        });
        Ok(try_join_all(resolve).await?.into_iter().collect())
    }

    /// From the events of the last two weeks: how long each restart took, as seen from outside.
    async fn restarts(&self) -> Result<Vec<Restart>, AwsError> {
        let call = self.clients.rds.describe_events().source_type(SourceType::DbInstance);
        let call = call.duration(EVENTS).event_categories("availability").max_records(PAGE);
        Ok(restarts(&pages!("rds:DescribeEvents", call)?))
    }

    /// Parameters and tags of the groups that are ours by name: of clusters that are declared, or carry our mark.
    async fn insides(&self, interest: &Interest, estate: &mut Estate) -> Result<(), AwsError> {
        let marked = estate.clusters.iter().filter(|cluster| {
            mark::tag::environment(&cluster.spec.tags) == Some(interest.environment.as_str())
        });
        let mut prefixes: BTreeSet<String> = marked.map(|cluster| cluster.spec.identifier.clone()).collect();
        prefixes.extend(interest.clusters.keys().cloned());
        let ours = |name: &str| {
            let rest = prefixes.iter().filter_map(|prefix| name.strip_prefix(prefix.as_str()));
            rest.into_iter().any(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let subnets = stream::iter(estate.subnet_groups.iter_mut().filter(|group| ours(&group.name)))
            .map(|group| async move {
                group.tags = Some(self.tags(&group.arn).await?);
                Ok::<(), AwsError>(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>();
        let parameters = stream::iter(estate.parameter_groups.iter_mut().filter(|group| ours(&group.name)))
            .map(|group| async move {
                let (tags, parameters) =
                    futures::try_join!(self.tags(&group.arn), self.parameters(group.level, &group.name))?;
                (group.tags, group.parameters) = (Some(tags), Some(parameters));
                Ok::<(), AwsError>(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>();
        futures::try_join!(subnets, parameters)?;
        Ok(())
    }

    async fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let answer = self.clients.rds.list_tags_for_resource().resource_name(arn).send().await;
        let answer = answer.map_err(|error| AwsError::of("rds:ListTagsForResource", error))?;
        Ok(convert::tags(answer.tag_list()))
    }

    async fn parameters(&self, level: Level, group: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let all = match level {
            Level::Cluster => {
                let call = self.clients.rds.describe_db_cluster_parameters().max_records(PAGE);
                let call = call.db_cluster_parameter_group_name(group).source("user");
                pages!("rds:DescribeDBClusterParameters", call)?
            }
            Level::Instance => {
                let call = self.clients.rds.describe_db_parameters().max_records(PAGE);
                pages!("rds:DescribeDBParameters", call.db_parameter_group_name(group).source("user"))?
            }
        };
        let pairs = all
            .iter()
            .filter_map(|one| Some((one.parameter_name()?.to_owned(), one.parameter_value()?.to_owned())));
        Ok(pairs.collect())
    }
}

fn parameter_group(
    level: Level,
    name: Option<&str>,
    arn: Option<&str>,
    family: Option<&str>,
) -> ParameterGroup {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (name, arn, family) = (text(name).to_lowercase(), text(arn), text(family));
    ParameterGroup { level, name, arn, family, parameters: None, tags: None }
}

/// Pairs of "shutdown" and "restarted" of one instance, in the order of time.
fn restarts(events: &[Event]) -> Vec<Restart> {
    let mut events: Vec<(i64, &str, &str)> = (events.iter())
        .filter_map(|event| Some((event.date()?.secs(), event.source_identifier()?, event.message()?)))
        .collect();
    events.sort_unstable();
    let mut down: BTreeMap<&str, i64> = BTreeMap::new();
    let mut all = Vec::new();
    for (time, instance, message) in events {
        if message.contains("shutdown") {
            down.insert(instance, time);
        } else if message.contains("restarted")
            && let Some(seconds) = down.remove(instance).and_then(|since| u32::try_from(time - since).ok())
        {
            all.push(Restart { instance: instance.into(), seconds });
        }
    }
    all
}
