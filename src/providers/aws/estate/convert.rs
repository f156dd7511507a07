//! From the shapes of the SDK to ours: the one place where AWS's ways of writing the same thing are made one.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_rds::types;

use super::{
    Capacity, Cluster, ClusterSpec, Instance, InstanceSpec, MasterSecret, Member, PerformanceInsights,
};
use crate::model::environment::MasterAuth;

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// Tags without those that AWS keeps for itself.
pub(in crate::providers::aws) fn tags(list: &[types::Tag]) -> BTreeMap<String, String> {
    let pairs = list.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    pairs.filter(|(key, _)| !key.starts_with("aws:")).map(|(key, value)| (key.into(), value.into())).collect()
}

/// AWS writes windows in small letters, and takes them in any.
fn window(text: Option<&str>) -> Option<String> {
    text.map(str::to_lowercase)
}

/// Standard storage is said by saying nothing.
fn storage(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("aurora").to_owned()
}

pub(in crate::providers::aws) fn cluster(of: &types::DbCluster) -> Cluster {
    let members = of.db_cluster_members().iter().map(|member| Member {
        instance: text(member.db_instance_identifier()),
        writer: member.is_cluster_writer().unwrap_or_default(),
        parameter_group_status: text(member.db_cluster_parameter_group_status()),
    });
    let groups = of.vpc_security_groups().iter();
    let insights = of.performance_insights_enabled().unwrap_or_default().then(|| PerformanceInsights {
        retention_days: whole::<u16>(of.performance_insights_retention_period()).max(7),
        kms_key: of.performance_insights_kms_key_id().map(Into::into),
    });
    let capacity = of.serverless_v2_scaling_configuration().map(|capacity| {
        let min = capacity.min_capacity().unwrap_or_default();
        let pause = capacity.seconds_until_auto_pause().and_then(|seconds| u32::try_from(seconds).ok());
        Capacity {
            min,
            max: capacity.max_capacity().unwrap_or_default(),
            seconds_until_pause: pause.filter(|_| min == 0.0),
        }
    });
    let secret = of.master_user_secret().map(|secret| MasterSecret {
        arn: text(secret.secret_arn()),
        status: text(secret.secret_status()),
        kms_key: secret.kms_key_id().map(Into::into),
    });
    let spec = ClusterSpec {
        identifier: text(of.db_cluster_identifier()).to_lowercase(),
        engine_version: text(of.engine_version()),
        port: whole(of.port()),
        master_username: text(of.master_username()),
        master_auth: if secret.is_some() { MasterAuth::Secret } else { MasterAuth::Iam },
        master_secret_kms_key: secret.as_ref().and_then(|secret| secret.kms_key.clone()),
        subnet_group: text(of.db_subnet_group()).to_lowercase(),
        security_groups: groups.clone().map(|group| text(group.vpc_security_group_id())).collect(),
        parameter_group: text(of.db_cluster_parameter_group()).to_lowercase(),
        storage_encrypted: of.storage_encrypted().unwrap_or_default(),
        kms_key: of.kms_key_id().map(Into::into),
        storage_type: storage(of.storage_type()),
        capacity,
        backup_retention_days: whole(of.backup_retention_period()),
        backup_window: window(of.preferred_backup_window()),
        maintenance_window: window(of.preferred_maintenance_window()),
        deletion_protection: of.deletion_protection().unwrap_or_default(),
        copy_tags_to_snapshots: of.copy_tags_to_snapshot().unwrap_or_default(),
        iam_authentication: of.iam_database_authentication_enabled().unwrap_or_default(),
        log_exports: of.enabled_cloudwatch_logs_exports().iter().cloned().collect(),
        performance_insights: insights,
        database_insights: of.database_insights_mode().map_or("standard", |mode| mode.as_str()).to_owned(),
        data_api: of.http_endpoint_enabled().unwrap_or_default(),
        auto_minor_version_upgrade: of.auto_minor_version_upgrade().unwrap_or(true),
        tags: tags(of.tag_list()),
    };
    Cluster {
        spec,
        arn: text(of.db_cluster_arn()),
        resource_id: text(of.db_cluster_resource_id()),
        status: text(of.status()),
        endpoint: of.endpoint().map(Into::into),
        reader_endpoint: of.reader_endpoint().map(Into::into),
        master_secret: secret,
        members: members.collect(),
        security_groups: groups
            .map(|group| (text(group.vpc_security_group_id()), text(group.status())))
            .collect(),
        pending: of.pending_modified_values().map(|pending| cluster_pending(of, pending)).unwrap_or_default(),
    }
}

fn whole<T: TryFrom<i32> + Default>(number: Option<i32>) -> T {
    number.and_then(|number| T::try_from(number).ok()).unwrap_or_default()
}

/// What waits on a cluster; these can, and no others (`ClusterPendingModifiedValues` of the API). What is as it already
/// is waits for nothing.
fn cluster_pending(
    of: &types::DbCluster,
    pending: &types::ClusterPendingModifiedValues,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>, now: String| {
        if let Some(value) = value.filter(|value| *value != now) {
            all.insert(name.to_owned(), value);
        }
    };
    put("engine_version", pending.engine_version().map(Into::into), text(of.engine_version()));
    let on = |value: Option<bool>| value.map(|value| value.to_string());
    put(
        "iam_authentication",
        on(pending.iam_database_authentication_enabled()),
        of.iam_database_authentication_enabled().unwrap_or_default().to_string(),
    );
    put(
        "backup_retention_days",
        pending.backup_retention_period().map(|days| days.to_string()),
        whole::<u16>(of.backup_retention_period()).to_string(),
    );
    put("storage_type", pending.storage_type().map(|text| storage(Some(text))), storage(of.storage_type()));
    if let Some(logs) = pending.pending_cloudwatch_logs_exports() {
        let now: BTreeSet<&String> = of.enabled_cloudwatch_logs_exports().iter().collect();
        let mut then = now.clone();
        then.extend(logs.log_types_to_enable());
        for gone in logs.log_types_to_disable() {
            then.remove(gone);
        }
        let list =
            |logs: &BTreeSet<&String>| logs.iter().map(|log| log.as_str()).collect::<Vec<_>>().join(",");
        put("log_exports", Some(list(&then)), list(&now));
    }
    all
}

pub(in crate::providers::aws) fn instance(of: &types::DbInstance) -> Instance {
    let group = of.db_parameter_groups().first();
    let mut pending = BTreeMap::new();
    if let Some(values) = of.pending_modified_values() {
        for (name, value, now) in [
            ("class", values.db_instance_class(), of.db_instance_class()),
            ("ca_certificate", values.ca_certificate_identifier(), of.ca_certificate_identifier()),
        ] {
            if let Some(value) = value.filter(|value| Some(*value) != now) {
                pending.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    let spec = InstanceSpec {
        identifier: text(of.db_instance_identifier()).to_lowercase(),
        cluster: text(of.db_cluster_identifier()).to_lowercase(),
        class: text(of.db_instance_class()),
        availability_zone: of.availability_zone().map(Into::into),
        promotion_tier: whole(of.promotion_tier()),
        parameter_group: group
            .and_then(|group| group.db_parameter_group_name())
            .unwrap_or_default()
            .to_lowercase(),
        publicly_accessible: of.publicly_accessible().unwrap_or_default(),
        auto_minor_version_upgrade: of.auto_minor_version_upgrade().unwrap_or(true),
        ca_certificate: of.ca_certificate_identifier().map(Into::into),
        monitoring_interval: whole(of.monitoring_interval()),
        monitoring_role: of.monitoring_role_arn().map(Into::into),
        maintenance_window: window(of.preferred_maintenance_window()),
        tags: tags(of.tag_list()),
    };
    Instance {
        spec,
        arn: text(of.db_instance_arn()),
        status: text(of.db_instance_status()),
        parameter_group_status: text(group.and_then(|group| group.parameter_apply_status())),
        pending,
    }
}
