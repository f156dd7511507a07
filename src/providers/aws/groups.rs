//! Calls that change groups (subnets, parameters), tags, and reader autoscaling.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ServiceNamespace,
    TargetTrackingScalingPolicyConfiguration,
};
use aws_sdk_rds::types::{ApplyMethod, Filter, Parameter};

use super::{
    Aws, AwsError,
    cluster::{some, tags},
    estate::{Level, ScalingPolicy},
};
use crate::providers::ReadWrite;

/// Most parameters of one call.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBClusterParameterGroup.html>
const PARAMETERS: usize = 20;
/// Most values of one filter.
const FILTER: usize = 100;

impl Aws<ReadWrite> {
    pub async fn create_subnet_group(
        &self,
        name: &str,
        description: &str,
        subnets: &BTreeSet<String>,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let call = (self.clients.rds.create_db_subnet_group())
            .db_subnet_group_name(name)
            .db_subnet_group_description(description)
            .set_subnet_ids(some(subnets.iter().cloned()))
            .set_tags(some(tags(marks)));
        call.send().await.map_err(|error| AwsError::of("rds:CreateDBSubnetGroup", error))?;
        Ok(())
    }

    pub async fn modify_subnet_group(&self, name: &str, subnets: &BTreeSet<String>) -> Result<(), AwsError> {
        let call = self.clients.rds.modify_db_subnet_group().db_subnet_group_name(name);
        let answer = call.set_subnet_ids(some(subnets.iter().cloned())).send().await;
        answer.map_err(|error| AwsError::of("rds:ModifyDBSubnetGroup", error))?;
        Ok(())
    }

    pub async fn delete_subnet_group(&self, name: &str) -> Result<(), AwsError> {
        let call = self.clients.rds.delete_db_subnet_group().db_subnet_group_name(name);
        call.send().await.map_err(|error| AwsError::of("rds:DeleteDBSubnetGroup", error))?;
        Ok(())
    }

    pub async fn create_parameter_group(
        &self,
        level: Level,
        name: &str,
        family: &str,
        description: &str,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let rds = &self.clients.rds;
        match level {
            Level::Cluster => {
                let call = (rds.create_db_cluster_parameter_group())
                    .db_cluster_parameter_group_name(name)
                    .db_parameter_group_family(family)
                    .description(description)
                    .set_tags(some(tags(marks)));
                let answer = call.send().await;
                answer.map_err(|error| AwsError::of("rds:CreateDBClusterParameterGroup", error))?;
            }
            Level::Instance => {
                let call = (rds.create_db_parameter_group())
                    .db_parameter_group_name(name)
                    .db_parameter_group_family(family)
                    .description(description)
                    .set_tags(some(tags(marks)));
                call.send().await.map_err(|error| AwsError::of("rds:CreateDBParameterGroup", error))?;
            }
        }
        Ok(())
    }

    pub async fn delete_parameter_group(&self, level: Level, name: &str) -> Result<(), AwsError> {
        let rds = &self.clients.rds;
        match level {
            Level::Cluster => {
                let call = rds.delete_db_cluster_parameter_group().db_cluster_parameter_group_name(name);
                let answer = call.send().await;
                answer.map_err(|error| AwsError::of("rds:DeleteDBClusterParameterGroup", error))?;
            }
            Level::Instance => {
                let call = rds.delete_db_parameter_group().db_parameter_group_name(name);
                call.send().await.map_err(|error| AwsError::of("rds:DeleteDBParameterGroup", error))?;
            }
        }
        Ok(())
    }

    /// When each of some parameters takes effect: at once, or with the next restart. What the group does not know is
    /// not in the answer.
    pub async fn methods(
        &self,
        level: Level,
        group: &str,
        names: &[&str],
    ) -> Result<BTreeMap<String, ApplyMethod>, AwsError> {
        let mut methods = BTreeMap::new();
        for names in names.chunks(FILTER) {
            let values = names.iter().map(ToString::to_string).collect();
            let filter = Filter::builder().name("parameter-name").set_values(Some(values)).build();
            let found = match level {
                Level::Cluster => {
                    let call = (self.clients.rds.describe_db_cluster_parameters())
                        .db_cluster_parameter_group_name(group)
                        .filters(filter);
                    call.into_paginator()
                        .items()
                        .send()
                        .collect::<Result<Vec<_>, _>>()
                        .await
                        .map_err(|error| AwsError::of("rds:DescribeDBClusterParameters", error))?
                }
                Level::Instance => {
                    let call = self.clients.rds.describe_db_parameters().db_parameter_group_name(group);
                    let call = call.filters(filter).into_paginator().items().send();
                    call.collect::<Result<Vec<_>, _>>()
                        .await
                        .map_err(|error| AwsError::of("rds:DescribeDBParameters", error))?
                }
            };
            for parameter in found {
                let Some(name) = parameter.parameter_name() else { continue };
                let dynamic = parameter.apply_type() == Some("dynamic");
                let method = if dynamic { ApplyMethod::Immediate } else { ApplyMethod::PendingReboot };
                methods.insert(name.to_owned(), method);
            }
        }
        Ok(methods)
    }

    /// Sets parameters, at most twenty in a call.
    pub async fn set_parameters(
        &self,
        level: Level,
        group: &str,
        values: &[(String, String, ApplyMethod)],
    ) -> Result<(), AwsError> {
        for chunk in values.chunks(PARAMETERS) {
            let parameters = chunk.iter().map(|(name, value, method)| {
                Parameter::builder()
                    .parameter_name(name)
                    .parameter_value(value)
                    .apply_method(method.clone())
                    .build()
            });
            let parameters = Some(parameters.collect());
            let rds = &self.clients.rds;
            match level {
                Level::Cluster => {
                    let call = rds.modify_db_cluster_parameter_group().db_cluster_parameter_group_name(group);
                    let answer = call.set_parameters(parameters).send().await;
                    answer.map_err(|error| AwsError::of("rds:ModifyDBClusterParameterGroup", error))?;
                }
                Level::Instance => {
                    let call = rds.modify_db_parameter_group().db_parameter_group_name(group);
                    let answer = call.set_parameters(parameters).send().await;
                    answer.map_err(|error| AwsError::of("rds:ModifyDBParameterGroup", error))?;
                }
            }
        }
        Ok(())
    }

    /// Takes parameters back to the engine's own values.
    pub async fn reset_parameters(
        &self,
        level: Level,
        group: &str,
        names: &[(String, ApplyMethod)],
    ) -> Result<(), AwsError> {
        for chunk in names.chunks(PARAMETERS) {
            let parameters = chunk.iter().map(|(name, method)| {
                Parameter::builder().parameter_name(name).apply_method(method.clone()).build()
            });
            let parameters = Some(parameters.collect());
            let rds = &self.clients.rds;
            match level {
                Level::Cluster => {
                    let call = rds.reset_db_cluster_parameter_group().db_cluster_parameter_group_name(group);
                    let answer = call.set_parameters(parameters).reset_all_parameters(false).send().await;
                    answer.map_err(|error| AwsError::of("rds:ResetDBClusterParameterGroup", error))?;
                }
                Level::Instance => {
                    let call = rds.reset_db_parameter_group().db_parameter_group_name(group);
                    let answer = call.set_parameters(parameters).reset_all_parameters(false).send().await;
                    answer.map_err(|error| AwsError::of("rds:ResetDBParameterGroup", error))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the tags of an RDS object these and no others; AWS's own are not ours to see.
    pub async fn retag(
        &self,
        arn: &str,
        old: &BTreeMap<String, String>,
        new: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let gone: Vec<String> = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
        if !gone.is_empty() {
            let call = self.clients.rds.remove_tags_from_resource().resource_name(arn);
            let answer = call.set_tag_keys(Some(gone)).send().await;
            answer.map_err(|error| AwsError::of("rds:RemoveTagsFromResource", error))?;
        }
        let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
        let changed: BTreeMap<String, String> =
            changed.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !changed.is_empty() {
            let call = self.clients.rds.add_tags_to_resource().resource_name(arn);
            let answer = call.set_tags(some(tags(&changed))).send().await;
            answer.map_err(|error| AwsError::of("rds:AddTagsToResource", error))?;
        }
        Ok(())
    }

    /// Both calls make or change, whichever is needed.
    pub async fn put_scaling(
        &self,
        cluster: &str,
        min: u8,
        max: u8,
        policies: &BTreeMap<String, ScalingPolicy>,
    ) -> Result<(), AwsError> {
        let resource = format!("cluster:{cluster}");
        let call = (self.clients.scaling.register_scalable_target())
            .service_namespace(ServiceNamespace::Rds)
            .resource_id(&resource)
            .scalable_dimension(ScalableDimension::RdsClusterReadReplicaCount)
            .min_capacity(min.into())
            .max_capacity(max.into());
        let answer = call.send().await;
        answer.map_err(|error| AwsError::of("application-autoscaling:RegisterScalableTarget", error))?;
        for (name, policy) in policies {
            let seconds = |seconds: u32| i32::try_from(seconds).unwrap_or(i32::MAX);
            let metric = PredefinedMetricSpecification::builder()
                .predefined_metric_type(MetricType::from(policy.metric.as_str()))
                .build();
            let unfit = |error: &dyn std::error::Error| AwsError::Unfit {
                what: format!("the scaling policy {name} of {resource}"),
                why: error.to_string(),
            };
            let metric = metric.map_err(|error| unfit(&error))?;
            let tracking = TargetTrackingScalingPolicyConfiguration::builder()
                .target_value(policy.target)
                .predefined_metric_specification(metric)
                .scale_in_cooldown(seconds(policy.scale_in_cooldown))
                .scale_out_cooldown(seconds(policy.scale_out_cooldown))
                .build()
                .map_err(|error| unfit(&error))?;
            let call = (self.clients.scaling.put_scaling_policy())
                .policy_name(name)
                .service_namespace(ServiceNamespace::Rds)
                .resource_id(&resource)
                .scalable_dimension(ScalableDimension::RdsClusterReadReplicaCount)
                .policy_type(PolicyType::TargetTrackingScaling)
                .target_tracking_scaling_policy_configuration(tracking);
            let answer = call.send().await;
            answer.map_err(|error| AwsError::of("application-autoscaling:PutScalingPolicy", error))?;
        }
        Ok(())
    }

    pub async fn delete_scaling_policy(&self, cluster: &str, name: &str) -> Result<(), AwsError> {
        let call = (self.clients.scaling.delete_scaling_policy())
            .policy_name(name)
            .service_namespace(ServiceNamespace::Rds)
            .resource_id(format!("cluster:{cluster}"))
            .scalable_dimension(ScalableDimension::RdsClusterReadReplicaCount);
        let answer = call.send().await;
        answer.map_err(|error| AwsError::of("application-autoscaling:DeleteScalingPolicy", error))?;
        Ok(())
    }

    /// Ends autoscaling; the readers it has made stay.
    pub async fn end_scaling(&self, cluster: &str) -> Result<(), AwsError> {
        let call = (self.clients.scaling.deregister_scalable_target())
            .service_namespace(ServiceNamespace::Rds)
            .resource_id(format!("cluster:{cluster}"))
            .scalable_dimension(ScalableDimension::RdsClusterReadReplicaCount);
        match call
            .send()
            .await
            .map_err(|error| AwsError::of("application-autoscaling:DeregisterScalableTarget", error))
        {
            Err(error) if error.is(&["ObjectNotFoundException"]) => Ok(()),
            other => other.map(drop),
        }
    }
}
