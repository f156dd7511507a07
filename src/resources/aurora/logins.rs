//! Our own logins in a cluster: `infra_admin` and `infra_planner`, made once by the master, who is not used again.

use serde::{Deserialize, Serialize};

use super::{Tags, cluster::AuroraCluster, cluster_name, instance::AuroraInstance};
use crate::{
    engine::{Action, Error, Found, Output, Outputs, Removal, Resource, Verdict, World},
    model::{Address, environment::MasterAuth, mark::tag},
    providers::{
        ReadWrite,
        aws::{Aws, AwsError, Estate, Interest, estate::Cluster},
        postgres::{ADMIN, Endpoint, PLANNER},
    },
    resources::{Any, Effects, Handle, Live, Recognise},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgLogins {
    pub cluster: String,
    /// The cluster's identifier.
    pub identifier: String,
    pub logins: Vec<String>,
}

impl PgLogins {
    pub fn address(cluster: &str) -> Address {
        Address::new("pg_logins", cluster)
    }

    pub fn new(cluster: &str, identifier: &str) -> Self {
        let logins = [ADMIN, PLANNER].map(Into::into).into();
        Self { cluster: cluster.into(), identifier: identifier.into(), logins }
    }

    /// Clusters whose inside cannot be looked at now: no instance is there to ask, or it was adopted and does not know
    /// us yet. One that is new has nothing inside.
    pub(in crate::resources) fn unreadable(estate: &Estate, interest: &Interest, world: &mut World<Any>) {
        for cluster in &estate.clusters {
            if tag::environment(&cluster.spec.tags) != Some(interest.environment.as_str()) {
                continue;
            }
            let name = cluster_name(cluster, interest);
            match cluster.spec.tags.get(tag::CONTENT).map(String::as_str) {
                Some(tag::CONTENT_NEW) => {}
                Some(_) if serves(cluster, estate) => {}
                Some(_) => {
                    world
                        .unreadable
                        .insert(AuroraInstance::address(&name, "1"), "no instance is available".into());
                }
                None => {
                    let why = format!("{ADMIN} and {PLANNER} are not in it yet");
                    world.unreadable.insert(Self::address(&name), why);
                }
            }
        }
    }
}

fn serves(cluster: &Cluster, estate: &Estate) -> bool {
    // An instance answers in all these states.
    let up =
        ["available", "modifying", "backing-up", "configuring-enhanced-monitoring", "storage-optimization"];
    estate.members(&cluster.spec.identifier).any(|member| up.contains(&member.status.as_str()))
}

/// Where a cluster's Postgres is, and what it is.
pub(in crate::resources) fn outputs(cluster: &Cluster) -> Outputs {
    let port = cluster.spec.port;
    let at = |host: &Option<String>| host.as_ref().map(|host| format!("{host}:{port}"));
    [
        (Output::Endpoint, at(&cluster.endpoint)),
        (Output::ReaderEndpoint, at(&cluster.reader_endpoint)),
        (Output::Version, Some(cluster.spec.engine_version.clone())),
    ]
    .into_iter()
    .filter_map(|(output, value)| Some((output, value?)))
    .collect()
}

impl Resource for PgLogins {
    fn depends_on(&self) -> Vec<Address> {
        vec![AuroraCluster::address(&self.cluster), AuroraInstance::address(&self.cluster, "1")]
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::Refuse("logins of infra are made with a cluster and go with it".into())
    }

    fn removal(&self) -> Removal {
        Removal::Implied
    }
}

impl Effects for PgLogins {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let Action::Create { new } = action else { return Vec::new() };
        vec![
            format!("log in to {} as its master, once", new.identifier),
            format!("CREATE ROLE {ADMIN}, CREATE ROLE {PLANNER}; GRANT rds_iam to both"),
            format!(
                "log in as each by IAM token, then rds:AddTagsToResource {} ({})",
                new.identifier,
                tag::CONTENT
            ),
        ]
    }
}

impl Recognise for PgLogins {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let found = estate.clusters.iter().filter_map(|cluster| {
            let tags = &cluster.spec.tags;
            let ours = tag::environment(tags) == Some(interest.environment.as_str());
            if !ours || tags.get(tag::CONTENT).map(String::as_str) != Some(tag::CONTENT_READY) {
                return None;
            }
            let name = cluster_name(cluster, interest);
            let outputs = if serves(cluster, estate) { outputs(cluster) } else { Outputs::new() };
            let resource = Self::new(&name, &cluster.spec.identifier);
            Some((Self::address(&name), Found { resource, outputs, owned: true, protected: false }))
        });
        found.collect()
    }
}

/// How the master of a cluster logs in.
#[derive(Clone, Debug)]
pub(in crate::resources) enum Master {
    /// By the password in this secret.
    Secret(String),
    /// By token.
    Iam,
}

impl Master {
    pub(in crate::resources) fn of(cluster: &Cluster) -> Self {
        match (&cluster.master_secret, cluster.spec.master_auth) {
            (Some(secret), MasterAuth::Secret) => Self::Secret(secret.arn.clone()),
            _ => Self::Iam,
        }
    }
}

/// Looks whether the tag is there. The answer to the call that sets it is empty, and so looks like any page of something
/// in between; and without the tag the next run would take for empty what this one is about to fill.
async fn marked(aws: &Aws<ReadWrite>, new: &PgLogins, ready: &Tags) -> Result<(), AwsError> {
    const LOOKS: u32 = 3;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(aws.pause()).await;
        }
        let fleet = aws.fleet().await?;
        let found = fleet.cluster(&new.identifier).and_then(|cluster| cluster.spec.tags.get(tag::CONTENT));
        if found == ready.get(tag::CONTENT) {
            return Ok(());
        }
    }
    let why = format!("the tag {} of {} is not there afterwards", tag::CONTENT, new.identifier);
    Err(AwsError::Answer { action: "rds:AddTagsToResource", why })
}

impl Handle<PgLogins> for Live<ReadWrite> {
    /// A run that was killed on the way finds what it did, and goes on.
    async fn create(&self, new: &PgLogins, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let aws = self.aws()?;
        let fleet = aws.fleet().await?;
        let missing =
            || AwsError::Unfit { what: format!("cluster {}", new.identifier), why: "it is gone".into() };
        let cluster = fleet.cluster(&new.identifier).ok_or_else(missing)?;
        let outputs = outputs(cluster);
        let endpoint = outputs.get(&Output::Endpoint).ok_or_else(missing)?;
        let endpoint = Endpoint::parse(&new.cluster, endpoint)?;
        progress("making infra's own logins");
        let name = &cluster.spec.master_username;
        let master = async || match Master::of(cluster) {
            Master::Secret(arn) => Ok(self.postgres.login_as(name, Some(aws.master_password(&arn).await?))),
            Master::Iam => Ok(self.postgres.login_as(name, None)),
        };
        self.postgres.bootstrap(&endpoint, master).await?;
        let old = cluster.spec.tags.clone();
        let mut ready = old.clone();
        ready.insert(tag::CONTENT.into(), tag::CONTENT_READY.into());
        aws.retag(&cluster.arn, &old, &ready).await?;
        marked(aws, new, &ready).await?;
        Ok(outputs)
    }

    async fn update(&self, _: &PgLogins, _: &PgLogins, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        Ok(Outputs::new())
    }

    async fn delete(&self, _: &PgLogins, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(())
    }
}
