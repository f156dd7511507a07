//! Calls that change instances.

use super::{
    Aws, AwsError,
    cluster::{some, tags},
    estate::{ENGINE, InstanceSpec},
};
use crate::providers::ReadWrite;

/// One attribute of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceField {
    Class,
    PromotionTier,
    ParameterGroup,
    PubliclyAccessible,
    AutoMinor,
    CaCertificate,
    Monitoring,
    MaintenanceWindow,
    Tags,
}

impl Aws<ReadWrite> {
    /// The first of a cluster becomes its writer.
    ///
    /// # Errors
    /// `DBInstanceAlreadyExists` too, which may be the echo of a call whose answer was lost.
    pub async fn create_instance(&self, spec: &InstanceSpec) -> Result<(), AwsError> {
        let call = (self.clients.rds.create_db_instance())
            .db_instance_identifier(&spec.identifier)
            .db_cluster_identifier(&spec.cluster)
            .engine(ENGINE)
            .db_instance_class(&spec.class)
            .set_availability_zone(spec.availability_zone.clone())
            .promotion_tier(spec.promotion_tier.into())
            .set_db_parameter_group_name(own_group(&spec.parameter_group))
            .publicly_accessible(spec.publicly_accessible)
            .auto_minor_version_upgrade(spec.auto_minor_version_upgrade)
            .set_ca_certificate_identifier(spec.ca_certificate.clone())
            .monitoring_interval(spec.monitoring_interval.into())
            .set_monitoring_role_arn(spec.monitoring_role.clone())
            .set_preferred_maintenance_window(spec.maintenance_window.clone())
            .set_tags(some(tags(&spec.tags)));
        call.send().await.map_err(|error| AwsError::of("rds:CreateDBInstance", error))?;
        Ok(())
    }

    /// Sends the given attributes and nothing else.
    pub async fn modify_instance(
        &self,
        new: &InstanceSpec,
        fields: &[InstanceField],
        immediately: bool,
    ) -> Result<(), AwsError> {
        let mut call = self.clients.rds.modify_db_instance().db_instance_identifier(&new.identifier);
        call = call.apply_immediately(immediately);
        for field in fields {
            call = match field {
                InstanceField::Class => call.db_instance_class(&new.class),
                InstanceField::PromotionTier => call.promotion_tier(new.promotion_tier.into()),
                InstanceField::ParameterGroup => call.db_parameter_group_name(&new.parameter_group),
                InstanceField::PubliclyAccessible => call.publicly_accessible(new.publicly_accessible),
                InstanceField::AutoMinor => call.auto_minor_version_upgrade(new.auto_minor_version_upgrade),
                InstanceField::CaCertificate => {
                    call.set_ca_certificate_identifier(new.ca_certificate.clone())
                }
                InstanceField::Monitoring => call
                    .monitoring_interval(new.monitoring_interval.into())
                    .set_monitoring_role_arn(new.monitoring_role.clone()),
                InstanceField::MaintenanceWindow => {
                    call.set_preferred_maintenance_window(new.maintenance_window.clone())
                }
                // A call of its own.
                InstanceField::Tags => call,
            };
        }
        call.send().await.map_err(|error| AwsError::of("rds:ModifyDBInstance", error))?;
        Ok(())
    }

    pub async fn reboot_instance(&self, identifier: &str) -> Result<(), AwsError> {
        let call = self.clients.rds.reboot_db_instance().db_instance_identifier(identifier);
        call.send().await.map_err(|error| AwsError::of("rds:RebootDBInstance", error))?;
        Ok(())
    }

    pub async fn delete_instance(&self, identifier: &str) -> Result<(), AwsError> {
        let call = self.clients.rds.delete_db_instance().db_instance_identifier(identifier);
        let answer = call.skip_final_snapshot(true).send().await;
        answer.map_err(|error| AwsError::of("rds:DeleteDBInstance", error))?;
        Ok(())
    }
}

/// A default group is what one gets by naming none.
fn own_group(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with("default.")).then(|| name.to_owned())
}
