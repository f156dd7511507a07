//! A cluster on AWS: groups, the cluster itself, its instances, its autoscaling, and our logins in it.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        Address,
        duration::Duration,
        environment::{
            ApplyWhen, Autoscaling, BackupPolicy, Cluster, DatabaseInsights, Environment, LogExport,
            Platform, Scalar, Storage,
        },
        mark::tag,
    },
    providers::aws::{
        Declared, Interest,
        estate::{Capacity, ClusterSpec, InstanceSpec, Level, PerformanceInsights, ScalingPolicy},
        secrets::SecretsOfInterest,
    },
    resources::{
        Facts,
        aurora::{
            autoscaling::AuroraAutoscaling,
            cluster::{self, AuroraCluster},
            instance::{self, AuroraInstance},
            logins::PgLogins,
            parameter_group::AuroraParameterGroup,
            subnet_group::AuroraSubnetGroup,
        },
        mongo::secret::MongoSecret,
    },
};

/// Postgres' own.
const PORT: u16 = 5432;
/// Who makes our logins, and is not used again.
const MASTER: &str = "infra_master";
/// What Application Auto Scaling waits for between two steps, unless told.
const COOLDOWN: u32 = 300;
/// Days without a backup policy: AWS knows no cluster without backups.
const RETENTION: u16 = 1;
const POLICY: &str = "infra";

/// The identifier of a cluster on AWS: two environments may share an account.
pub fn identifier(environment: &str, name: &str, declared: &Cluster) -> String {
    declared.identifier.clone().unwrap_or_else(|| format!("{environment}-{name}"))
}

/// What of an account is to be looked at.
pub fn interest(name: &str, environment: &Environment) -> Interest {
    if matches!(environment.platform, Platform::Local(_)) {
        return Interest::default();
    }
    let mut interest = Interest { environment: name.into(), ..Interest::default() };
    for (cluster, declared) in &environment.clusters {
        let insights = declared.performance_insights.as_ref().and_then(|insights| insights.kms_key.as_ref());
        let keys = [declared.kms_key.as_ref(), declared.master_secret_kms_key.as_ref(), insights];
        interest.keys.extend(keys.into_iter().flatten().cloned());
        let of = Declared {
            name: cluster.clone(),
            final_snapshot: declared.final_snapshot,
            keep_backups: declared.keep_backups.unwrap_or(environment.protect),
        };
        interest.clusters.insert(identifier(name, cluster, declared), of);
    }
    let (prefixes, keys) = super::mongo::secrets(name, environment);
    interest.keys.extend(keys);
    if !prefixes.is_empty() {
        let declared = super::compose(name, environment).resources.into_iter();
        let names =
            declared.filter_map(|(address, any)| Some((MongoSecret::try_from(any).ok()?.name, address)));
        interest.secrets = SecretsOfInterest { prefixes, names: names.collect() };
    }
    interest
}

impl Composition<'_> {
    pub(super) fn aurora(&mut self) {
        let environment = self.environment;
        for (name, declared) in &environment.clusters {
            let identifier = identifier(self.name, name, declared);
            let groups = self.groups_of(name, &identifier, declared);
            self.aurora_cluster(name, &identifier, declared, &groups);
            self.aurora_instances(name, &identifier, declared, groups.instances.as_deref());
            if let Some(autoscaling) = &declared.autoscaling {
                self.add(AuroraAutoscaling::address(name), scaling(name, &identifier, autoscaling));
            }
            self.add(PgLogins::address(name), PgLogins::new(name, &identifier));
        }
    }

    /// The environment's tags, and the mark.
    pub(super) fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        let mut tags = self.environment.tags.clone();
        tags.extend(tag::of(self.name, address.as_str(), self.environment.protect));
        tags
    }

    fn groups_of(&mut self, name: &str, identifier: &str, declared: &Cluster) -> Groups {
        let address = AuroraSubnetGroup::address(name);
        let subnets = AuroraSubnetGroup {
            cluster: name.into(),
            name: identifier.into(),
            subnets: declared.subnets.iter().cloned().collect(),
            tags: self.tags(&address),
            facts: Facts::default(),
        };
        self.add(address, subnets);
        let version = declared.engine_version.as_deref().unwrap_or_default();
        let major = version.split('.').next().unwrap_or_default().to_owned();
        let mut group = |level, parameters: &BTreeMap<String, Scalar>| {
            let suffix = AuroraParameterGroup::suffix(level, &major);
            let address = AuroraParameterGroup::address(name, &suffix);
            let group = AuroraParameterGroup {
                cluster: name.into(),
                name: format!("{identifier}-{suffix}"),
                level,
                family: format!("aurora-postgresql{major}"),
                parameters: parameters.iter().map(|(name, value)| (name.clone(), setting(value))).collect(),
                tags: self.tags(&address),
                facts: Facts::default(),
            };
            self.add(address, group);
            suffix
        };
        let cluster = group(Level::Cluster, &declared.parameters);
        // The engine's own group does where nothing is to be said; to leave it later takes a restart.
        let own = !declared.instance_parameters.is_empty();
        let instances = own.then(|| group(Level::Instance, &declared.instance_parameters));
        Groups { cluster, instances }
    }

    fn aurora_cluster(&mut self, name: &str, identifier: &str, declared: &Cluster, groups: &Groups) {
        let environment = self.environment;
        let address = AuroraCluster::address(name);
        let policy =
            declared.backup_policy.as_ref().and_then(|policy| environment.backup_policies.get(policy));
        let backup = match policy {
            Some(BackupPolicy::Aurora(backup)) => Some(backup),
            _ => None,
        };
        let mut tags = self.tags(&address);
        tags.insert(tag::CONTENT.into(), tag::CONTENT_NEW.into());
        let logs = declared.log_exports.clone().unwrap_or_else(|| [LogExport::IamDbAuthError].into());
        let spec = ClusterSpec {
            identifier: identifier.into(),
            engine_version: declared.engine_version.clone().unwrap_or_default(),
            port: declared.port.unwrap_or(PORT),
            master_username: declared.master_username.clone().unwrap_or_else(|| MASTER.into()),
            master_auth: declared.master_auth,
            master_secret_kms_key: declared.master_secret_kms_key.clone(),
            subnet_group: identifier.into(),
            security_groups: declared.security_groups.iter().cloned().collect(),
            parameter_group: format!("{identifier}-{}", groups.cluster),
            storage_encrypted: true,
            kms_key: declared.kms_key.clone(),
            storage_type: match declared.storage {
                Storage::Standard => "aurora".into(),
                Storage::IoOptimized => "aurora-iopt1".into(),
            },
            capacity: declared.serverless.map(|serverless| Capacity {
                min: serverless.min,
                max: serverless.max,
                seconds_until_pause: (serverless.min == 0.0).then(|| {
                    let seconds = serverless.pause_after.map_or(300, Duration::as_secs);
                    u32::try_from(seconds).unwrap_or(86_400)
                }),
            }),
            backup_retention_days: backup.map_or(RETENTION, |backup| backup.retention_days.into()),
            backup_window: backup.and_then(|backup| backup.window.clone()),
            maintenance_window: declared.maintenance_window.clone(),
            deletion_protection: declared.deletion_protection.unwrap_or(environment.protect),
            copy_tags_to_snapshots: true,
            iam_authentication: true,
            log_exports: logs.into_iter().map(|log| log.name().to_owned()).collect(),
            performance_insights: declared.performance_insights.as_ref().map(|insights| {
                PerformanceInsights {
                    retention_days: insights.retention_days,
                    kms_key: insights.kms_key.clone(),
                }
            }),
            database_insights: match declared.database_insights {
                DatabaseInsights::Standard => "standard".into(),
                DatabaseInsights::Advanced => "advanced".into(),
            },
            data_api: declared.data_api,
            auto_minor_version_upgrade: declared.auto_minor_version_upgrade,
            tags,
        };
        let wishes = cluster::Wishes {
            apply: declared.apply,
            allow_major_upgrade: declared.allow_major_upgrade,
            groups: groups.all(),
            instance_parameter_group: groups
                .instances
                .as_ref()
                .map(|suffix| format!("{identifier}-{suffix}")),
        };
        let cluster =
            AuroraCluster { name: name.into(), spec, wishes: Facts(wishes), facts: Facts::default() };
        self.add(address, cluster);
    }

    fn aurora_instances(&mut self, name: &str, identifier: &str, declared: &Cluster, group: Option<&str>) {
        let version = declared.engine_version.as_deref().unwrap_or_default();
        let major = version.split('.').next().unwrap_or_default();
        for number in 1..=u16::from(declared.readers) + 1 {
            let address = AuroraInstance::address(name, &number.to_string());
            let zones = &declared.zones;
            let zone = (!zones.is_empty()).then(|| zones[usize::from(number - 1) % zones.len()].clone());
            let spec = InstanceSpec {
                identifier: format!("{identifier}-{number}"),
                cluster: identifier.into(),
                class: declared.instance_class.clone().unwrap_or_else(|| "db.serverless".into()),
                availability_zone: zone,
                promotion_tier: u8::from(number > 1),
                parameter_group: group.map_or_else(
                    || format!("default.aurora-postgresql{major}"),
                    |suffix| format!("{identifier}-{suffix}"),
                ),
                publicly_accessible: false,
                auto_minor_version_upgrade: declared.auto_minor_version_upgrade,
                ca_certificate: declared.ca_certificate.clone(),
                monitoring_interval: declared.monitoring.as_ref().map_or(0, |monitoring| monitoring.interval),
                monitoring_role: declared.monitoring.as_ref().map(|monitoring| monitoring.role_arn.clone()),
                maintenance_window: declared.maintenance_window.clone(),
                tags: self.tags(&address),
            };
            let wishes = instance::Wishes {
                apply: declared.apply,
                group: group.map(Into::into),
                upgrades: declared.allow_major_upgrade && declared.apply == ApplyWhen::Immediately,
            };
            let instance = AuroraInstance {
                cluster_name: name.into(),
                spec,
                waits_for_restart: false,
                wishes: Facts(wishes),
                facts: Facts::default(),
            };
            self.add(address, instance);
        }
    }
}

/// Suffixes of the parameter groups of one cluster.
struct Groups {
    cluster: String,
    instances: Option<String>,
}

impl Groups {
    fn all(&self) -> BTreeSet<String> {
        std::iter::once(&self.cluster).chain(&self.instances).cloned().collect()
    }
}

/// RDS writes booleans as numbers.
fn setting(value: &Scalar) -> String {
    match value {
        Scalar::Boolean(value) => u8::from(*value).to_string(),
        other => other.text(),
    }
}

fn scaling(name: &str, identifier: &str, declared: &Autoscaling) -> AuroraAutoscaling {
    let seconds = |duration: Option<Duration>| {
        duration.map_or(COOLDOWN, |duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
    };
    let (metric, target) = match (declared.cpu, declared.connections) {
        (_, Some(connections)) => ("RDSReaderAverageDatabaseConnections", connections),
        (cpu, None) => ("RDSReaderAverageCPUUtilization", cpu.unwrap_or_default()),
    };
    let policy = ScalingPolicy {
        metric: metric.into(),
        target,
        scale_in_cooldown: seconds(declared.scale_in_cooldown),
        scale_out_cooldown: seconds(declared.scale_out_cooldown),
    };
    AuroraAutoscaling {
        cluster: name.into(),
        identifier: identifier.into(),
        min: declared.min,
        max: declared.max,
        policies: [(POLICY.to_owned(), policy)].into(),
    }
}
