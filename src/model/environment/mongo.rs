//! Replica sets of MongoDB.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MachineValue;

/// A MongoDB replica set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoCluster {
    /// Connection string; a password in it belongs into a variable or a file.
    pub uri: MachineValue,
    /// Name of one of `backup_policies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<String>,
    /// Host of the virtual machine by member (`host:port`). Default: the member's host name without the port.
    #[serde(default)]
    pub vm_hosts: BTreeMap<String, String>,
    /// How services and people prove who they are. Default on AWS: `scram`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<MongoAuthentication>,
}

/// How users of a replica set prove who they are: exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MongoAuthentication {
    /// By passwords that are made by AWS, and lie in AWS Secrets Manager and nowhere else.
    Scram(MongoScram),
    /// By certificates that somebody else gives out.
    X509(MongoX509),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoScram {
    /// What the names of the secrets begin with. Default `infra/<environment>/mongo/<cluster>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9+=.@_-]+(/[A-Za-z0-9+=.@_-]+)*$"), length(max = 400))]
    pub secret_prefix: Option<String>,
    /// Key of KMS for the secrets: alias, id or ARN. Without it the account's own key for Secrets Manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoX509 {
    /// Subject of a user's certificate as MongoDB writes it (RFC 2253, the common name first), such as
    /// `CN={name},OU=apps,O=acme`. `{name}` is filled in: `svc_<service>`, `dev_<person>`, `infra_backup`.
    pub subject: String,
}
