//! Calls that change clusters.

use aws_sdk_rds::types::{
    CloudwatchLogsExportConfiguration, DatabaseInsightsMode, MasterUserAuthenticationType,
    ServerlessV2ScalingConfiguration, Tag,
};

use super::{
    Aws, AwsError, LIMIT,
    estate::{Capacity, ClusterSpec, ENGINE},
};
use crate::{
    model::{environment::MasterAuth, secret::Secret},
    providers::ReadWrite,
};

/// One attribute of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterField {
    EngineVersion,
    Port,
    MasterAuth,
    SecurityGroups,
    ParameterGroup,
    StorageType,
    Capacity,
    BackupRetention,
    BackupWindow,
    MaintenanceWindow,
    DeletionProtection,
    CopyTags,
    IamAuthentication,
    LogExports,
    Insights,
    DataApi,
    AutoMinor,
    Tags,
}

/// What goes with a change of version from one major to another.
#[derive(Clone, Debug)]
pub struct MajorUpgrade {
    /// Group of the new family for the instances, in the same call; needed where a group of our own is in use.
    pub instance_parameter_group: Option<String>,
}

impl Aws<ReadWrite> {
    /// Creates it with its tags, protection and IAM authentication in the one call.
    ///
    /// # Errors
    /// `DBClusterAlreadyExistsFault` too, which may be the echo of a call whose answer was lost.
    pub async fn create_cluster(&self, spec: &ClusterSpec) -> Result<(), AwsError> {
        let insights = spec.performance_insights.as_ref();
        let call = (self.clients.rds.create_db_cluster())
            .db_cluster_identifier(&spec.identifier)
            .engine(ENGINE)
            .engine_version(&spec.engine_version)
            .port(spec.port.into())
            .master_username(&spec.master_username)
            .db_subnet_group_name(&spec.subnet_group)
            .set_vpc_security_group_ids(some(spec.security_groups.iter().cloned()))
            .db_cluster_parameter_group_name(&spec.parameter_group)
            .storage_encrypted(spec.storage_encrypted)
            .set_kms_key_id(spec.kms_key.clone())
            .storage_type(&spec.storage_type)
            .set_serverless_v2_scaling_configuration(spec.capacity.map(capacity))
            .backup_retention_period(spec.backup_retention_days.into())
            .set_preferred_backup_window(spec.backup_window.clone())
            .set_preferred_maintenance_window(spec.maintenance_window.clone())
            .deletion_protection(spec.deletion_protection)
            .copy_tags_to_snapshot(spec.copy_tags_to_snapshots)
            .enable_iam_database_authentication(spec.iam_authentication)
            .set_enable_cloudwatch_logs_exports(some(spec.log_exports.iter().cloned()))
            .set_enable_performance_insights(insights.map(|_| true))
            .set_performance_insights_retention_period(insights.map(|of| of.retention_days.into()))
            .set_performance_insights_kms_key_id(insights.and_then(|of| of.kms_key.clone()))
            .database_insights_mode(DatabaseInsightsMode::from(spec.database_insights.as_str()))
            .set_enable_http_endpoint(spec.data_api.then_some(true))
            .auto_minor_version_upgrade(spec.auto_minor_version_upgrade)
            .set_tags(some(tags(&spec.tags)));
        let call = match spec.master_auth {
            MasterAuth::Secret => call
                .manage_master_user_password(true)
                .set_master_user_secret_kms_key_id(spec.master_secret_kms_key.clone()),
            MasterAuth::Iam => call.master_user_authentication_type(MasterUserAuthenticationType::IamDbAuth),
        };
        call.send().await.map_err(|error| AwsError::of("rds:CreateDBCluster", error))?;
        Ok(())
    }

    /// Sends the given attributes and nothing else: RDS refuses some that are sent although they are as they are.
    pub async fn modify_cluster(
        &self,
        old: &ClusterSpec,
        new: &ClusterSpec,
        fields: &[ClusterField],
        immediately: bool,
        major: Option<&MajorUpgrade>,
    ) -> Result<(), AwsError> {
        let mut call = self.clients.rds.modify_db_cluster().db_cluster_identifier(&new.identifier);
        call = call.apply_immediately(immediately);
        for field in fields {
            call = match field {
                ClusterField::EngineVersion => call
                    .engine_version(&new.engine_version)
                    .set_allow_major_version_upgrade(major.map(|_| true))
                    .set_db_instance_parameter_group_name(
                        major.and_then(|major| major.instance_parameter_group.clone()),
                    ),
                ClusterField::Port => call.port(new.port.into()),
                ClusterField::MasterAuth => match new.master_auth {
                    MasterAuth::Secret => call
                        .manage_master_user_password(true)
                        .set_master_user_secret_kms_key_id(new.master_secret_kms_key.clone()),
                    MasterAuth::Iam => {
                        call.master_user_authentication_type(MasterUserAuthenticationType::IamDbAuth)
                    }
                },
                ClusterField::SecurityGroups => {
                    call.set_vpc_security_group_ids(some(new.security_groups.iter().cloned()))
                }
                ClusterField::ParameterGroup => call.db_cluster_parameter_group_name(&new.parameter_group),
                ClusterField::StorageType => call.storage_type(&new.storage_type),
                ClusterField::Capacity => {
                    call.set_serverless_v2_scaling_configuration(new.capacity.map(capacity))
                }
                ClusterField::BackupRetention => {
                    call.backup_retention_period(new.backup_retention_days.into())
                }
                ClusterField::BackupWindow => call.set_preferred_backup_window(new.backup_window.clone()),
                ClusterField::MaintenanceWindow => {
                    call.set_preferred_maintenance_window(new.maintenance_window.clone())
                }
                ClusterField::DeletionProtection => call.deletion_protection(new.deletion_protection),
                ClusterField::CopyTags => call.copy_tags_to_snapshot(new.copy_tags_to_snapshots),
                ClusterField::IamAuthentication => {
                    call.enable_iam_database_authentication(new.iam_authentication)
                }
                ClusterField::LogExports => {
                    let (on, off) =
                        (&new.log_exports - &old.log_exports, &old.log_exports - &new.log_exports);
                    call.cloudwatch_logs_export_configuration(
                        CloudwatchLogsExportConfiguration::builder()
                            .set_enable_log_types(some(on))
                            .set_disable_log_types(some(off))
                            .build(),
                    )
                }
                // What insights there are is one thing to RDS: it takes them together or refuses.
                ClusterField::Insights => {
                    let insights = new.performance_insights.as_ref();
                    call.enable_performance_insights(insights.is_some())
                        .set_performance_insights_retention_period(
                            insights.map(|of| of.retention_days.into()),
                        )
                        .set_performance_insights_kms_key_id(insights.and_then(|of| of.kms_key.clone()))
                        .database_insights_mode(DatabaseInsightsMode::from(new.database_insights.as_str()))
                }
                ClusterField::AutoMinor => call.auto_minor_version_upgrade(new.auto_minor_version_upgrade),
                // Calls of their own.
                ClusterField::DataApi | ClusterField::Tags => call,
            };
        }
        call.send().await.map_err(|error| AwsError::of("rds:ModifyDBCluster", error))?;
        Ok(())
    }

    /// SQL over HTTPS is switched by calls of its own once a cluster is there.
    pub async fn switch_data_api(&self, arn: &str, on: bool) -> Result<(), AwsError> {
        let rds = &self.clients.rds;
        if on {
            let call = rds.enable_http_endpoint().resource_arn(arn).send().await;
            call.map_err(|error| AwsError::of("rds:EnableHttpEndpoint", error))?;
        } else {
            let call = rds.disable_http_endpoint().resource_arn(arn).send().await;
            call.map_err(|error| AwsError::of("rds:DisableHttpEndpoint", error))?;
        }
        Ok(())
    }

    /// Takes the final snapshot under this name, or none.
    pub async fn delete_cluster(
        &self,
        identifier: &str,
        snapshot: Option<&str>,
        keep_backups: bool,
    ) -> Result<(), AwsError> {
        let call = (self.clients.rds.delete_db_cluster())
            .db_cluster_identifier(identifier)
            .skip_final_snapshot(snapshot.is_none())
            .set_final_db_snapshot_identifier(snapshot.map(Into::into))
            .delete_automated_backups(!keep_backups);
        call.send().await.map_err(|error| AwsError::of("rds:DeleteDBCluster", error))?;
        Ok(())
    }

    /// Takes a snapshot, and waits until it can be restored from.
    pub async fn snapshot_cluster(
        &self,
        cluster: &str,
        name: &str,
        marks: &std::collections::BTreeMap<String, String>,
        progress: &dyn Fn(&str),
    ) -> Result<(), AwsError> {
        let rds = &self.clients.rds;
        let call = rds.create_db_cluster_snapshot().db_cluster_identifier(cluster);
        let call = call.db_cluster_snapshot_identifier(name).set_tags(some(tags(marks)));
        match call.send().await.map_err(|error| AwsError::of("rds:CreateDBClusterSnapshot", error)) {
            // The answer to an earlier attempt at this very call was lost: the name is of this moment.
            Err(error) if error.is(&["DBClusterSnapshotAlreadyExistsFault"]) => {}
            other => {
                other?;
            }
        }
        let begun = tokio::time::Instant::now();
        loop {
            let call = rds.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name);
            let answer = call.send().await;
            let answer = answer.map_err(|error| AwsError::of("rds:DescribeDBClusterSnapshots", error))?;
            let found = answer.db_cluster_snapshots().first().and_then(|snapshot| snapshot.status());
            let state = found.unwrap_or("not visible yet").to_owned();
            let what = || format!("snapshot {name}");
            match state.as_str() {
                "available" => return Ok(()),
                "failed" => return Err(AwsError::Unfit { what: what(), why: "it failed".into() }),
                _ if begun.elapsed() > LIMIT => {
                    return Err(AwsError::TimedOut {
                        what: what(),
                        wanted: "available",
                        limit: LIMIT,
                        state,
                    });
                }
                _ => progress(&format!("{} is {state}", what())),
            }
            tokio::time::sleep(self.poll).await;
        }
    }

    /// The password that AWS made for a master and keeps.
    pub async fn master_password(&self, secret: &str) -> Result<Secret<String>, AwsError> {
        let answer = self.clients.secrets.get_secret_value().secret_id(secret).send().await;
        let answer = answer.map_err(|error| AwsError::of("secretsmanager:GetSecretValue", error))?;
        let text = answer.secret_string().unwrap_or_default();
        let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let password = value.as_ref().and_then(|value| value.get("password")).and_then(|text| text.as_str());
        // What the parser would say of it might show it.
        let unfit =
            || AwsError::Unfit { what: format!("the secret {secret}"), why: "it holds no password".into() };
        password.map(|text| Secret::new(text.to_owned())).ok_or_else(unfit)
    }

    /// Makes another instance the writer.
    pub async fn fail_over(&self, cluster: &str, to: &str) -> Result<(), AwsError> {
        let call = self.clients.rds.failover_db_cluster().db_cluster_identifier(cluster);
        let answer = call.target_db_instance_identifier(to).send().await;
        answer.map_err(|error| AwsError::of("rds:FailoverDBCluster", error))?;
        Ok(())
    }

    /// What AWS wrote down of a cluster lately: after a refused change it is all that says why.
    pub async fn cluster_events(&self, identifier: &str) -> Result<Vec<String>, AwsError> {
        let call = (self.clients.rds.describe_events())
            .source_type(aws_sdk_rds::types::SourceType::DbCluster)
            .source_identifier(identifier)
            .duration(60);
        let answer = call.send().await.map_err(|error| AwsError::of("rds:DescribeEvents", error))?;
        Ok(answer.events().iter().filter_map(|event| event.message().map(Into::into)).collect())
    }
}

/// AWS takes an empty list for a value, and nothing for "as it is".
pub(super) fn some<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}

pub(super) fn tags(tags: &std::collections::BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn capacity(of: Capacity) -> ServerlessV2ScalingConfiguration {
    let pause = of.seconds_until_pause.and_then(|seconds| i32::try_from(seconds).ok());
    ServerlessV2ScalingConfiguration::builder()
        .min_capacity(of.min)
        .max_capacity(of.max)
        .set_seconds_until_auto_pause(pause)
        .build()
}
