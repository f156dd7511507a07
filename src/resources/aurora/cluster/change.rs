//! Which attributes differ, and what changing each costs.

use crate::providers::aws::{ClusterField, estate::ClusterSpec};

/// What a change of one attribute does to those who use the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// Made at once, and nobody notices.
    InPlace,
    /// Nobody notices, but it can wait for the window (the API's `ClusterPendingModifiedValues`).
    Deferrable,
    /// Takes effect when the instances restart.
    Restart,
    /// All instances are away for a while.
    Outage,
}

/// By the API reference of `ModifyDBCluster`, and what CloudFormation's handlers wait for.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ClusterPendingModifiedValues.html>
pub(super) fn cost(field: ClusterField) -> Cost {
    match field {
        ClusterField::EngineVersion | ClusterField::Port => Cost::Outage,
        ClusterField::ParameterGroup => Cost::Restart,
        ClusterField::StorageType | ClusterField::IamAuthentication | ClusterField::BackupRetention => {
            Cost::Deferrable
        }
        _ => Cost::InPlace,
    }
}

/// The attribute's name in plans and in what is pending.
pub(super) fn name(field: ClusterField) -> &'static str {
    match field {
        ClusterField::EngineVersion => "engine_version",
        ClusterField::Port => "port",
        ClusterField::MasterAuth => "master_auth",
        ClusterField::SecurityGroups => "security_groups",
        ClusterField::ParameterGroup => "parameter_group",
        ClusterField::StorageType => "storage_type",
        ClusterField::Capacity => "capacity",
        ClusterField::BackupRetention => "backup_retention_days",
        ClusterField::BackupWindow => "backup_window",
        ClusterField::MaintenanceWindow => "maintenance_window",
        ClusterField::DeletionProtection => "deletion_protection",
        ClusterField::CopyTags => "copy_tags_to_snapshots",
        ClusterField::IamAuthentication => "iam_authentication",
        ClusterField::LogExports => "log_exports",
        ClusterField::Insights => "performance_insights",
        ClusterField::DataApi => "data_api",
        ClusterField::AutoMinor => "auto_minor_version_upgrade",
        ClusterField::Tags => "tags",
    }
}

pub(super) fn differences(old: &ClusterSpec, new: &ClusterSpec) -> Vec<ClusterField> {
    let mut fields = Vec::new();
    let mut note = |differs: bool, field| {
        if differs {
            fields.push(field);
        }
    };
    note(old.engine_version != new.engine_version, ClusterField::EngineVersion);
    note(old.port != new.port, ClusterField::Port);
    note(
        old.master_auth != new.master_auth || old.master_secret_kms_key != new.master_secret_kms_key,
        ClusterField::MasterAuth,
    );
    note(old.security_groups != new.security_groups, ClusterField::SecurityGroups);
    note(old.parameter_group != new.parameter_group, ClusterField::ParameterGroup);
    note(old.storage_type != new.storage_type, ClusterField::StorageType);
    note(old.capacity != new.capacity, ClusterField::Capacity);
    note(old.backup_retention_days != new.backup_retention_days, ClusterField::BackupRetention);
    note(old.backup_window != new.backup_window, ClusterField::BackupWindow);
    note(old.maintenance_window != new.maintenance_window, ClusterField::MaintenanceWindow);
    note(old.deletion_protection != new.deletion_protection, ClusterField::DeletionProtection);
    note(old.copy_tags_to_snapshots != new.copy_tags_to_snapshots, ClusterField::CopyTags);
    note(old.iam_authentication != new.iam_authentication, ClusterField::IamAuthentication);
    note(old.log_exports != new.log_exports, ClusterField::LogExports);
    note(
        old.performance_insights != new.performance_insights
            || old.database_insights != new.database_insights,
        ClusterField::Insights,
    );
    note(old.data_api != new.data_api, ClusterField::DataApi);
    note(old.auto_minor_version_upgrade != new.auto_minor_version_upgrade, ClusterField::AutoMinor);
    note(old.tags != new.tags, ClusterField::Tags);
    fields
}
