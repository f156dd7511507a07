//! What Aurora clusters are made of: groups, the cluster, its instances, its autoscaling, and our logins in it.

pub mod autoscaling;
pub(super) mod before_drop;
pub mod cluster;
pub mod instance;
pub mod logins;
pub mod parameter_group;
pub mod subnet_group;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    engine::Error,
    model::{Address, mark::tag},
    providers::{
        ReadWrite,
        aws::{Aws, AwsError, Estate, Interest, estate::Cluster},
    },
};

/// The tags that are declared, which are the mark's and the environment's. Others on an object of ours are drift.
pub(super) type Tags = BTreeMap<String, String>;

/// Whose something is, by its tags.
pub(super) struct Owner {
    pub(super) owned: bool,
    pub(super) protected: bool,
    /// The other environment whose mark it carries.
    pub(super) environment: Option<String>,
}

impl Owner {
    pub(super) fn of(tags: Option<&Tags>, interest: &Interest) -> Self {
        let environment = tags.and_then(tag::environment);
        Self {
            owned: environment == Some(interest.environment.as_str()),
            protected: tags.is_some_and(|tags| tags.contains_key(tag::PROTECT)),
            environment: environment.filter(|name| *name != interest.environment).map(Into::into),
        }
    }

    /// Another environment's things are that environment's business, unless the YAML lays claim to them.
    pub(super) fn concerns_us(&self, declared: bool) -> bool {
        declared || self.environment.is_none()
    }
}

/// What a cluster is called in addresses: by the YAML, by its own mark, or as nobody's.
pub(super) fn cluster_name(cluster: &Cluster, interest: &Interest) -> String {
    let identifier = &cluster.spec.identifier;
    if let Some(declared) = interest.clusters.get(identifier) {
        return declared.name.clone();
    }
    let tags = &cluster.spec.tags;
    let ours = tag::environment(tags) == Some(interest.environment.as_str());
    let marked = tags.get(tag::ID).and_then(|id| id.parse::<Address>().ok()).filter(|_| ours);
    marked.map_or_else(|| format!("other/{identifier}"), |address| address.path().to_owned())
}

/// Where the identifier of something that belongs to a cluster leads: the cluster's name, and what follows on its
/// identifier and a hyphen.
pub(super) fn belongs_to(name: &str, estate: &Estate, interest: &Interest) -> Option<(String, String)> {
    let declared = interest.clusters.iter().map(|(identifier, of)| (identifier.clone(), of.name.clone()));
    let found = estate
        .clusters
        .iter()
        .filter(|cluster| tag::environment(&cluster.spec.tags) == Some(interest.environment.as_str()));
    let found = found.map(|cluster| (cluster.spec.identifier.clone(), cluster_name(cluster, interest)));
    // The longest identifier that fits: `prod-main-2` is a cluster of its own where there is one.
    declared
        .chain(found)
        .filter_map(|(identifier, cluster)| {
            let rest = name.strip_prefix(identifier.as_str())?;
            let rest = if rest.is_empty() { Some("") } else { rest.strip_prefix('-') };
            rest.map(|rest| (identifier.len(), cluster, rest.to_owned()))
        })
        .max()
        .map(|(_, cluster, rest)| (cluster, rest))
}

/// The end of a parameter group's name, if it is one of ours: what must outlive whoever uses it.
pub(super) fn group_suffix(name: &str, estate: &Estate, interest: &Interest) -> Option<String> {
    belongs_to(name, estate, interest).map(|(_, rest)| rest).filter(|rest| rest.starts_with("pg"))
}

/// An object of this name is there already. It may be ours, made by a call whose answer was lost.
pub(super) fn exists_already(error: &AwsError) -> bool {
    error.is(&[
        "DBClusterAlreadyExistsFault",
        "DBInstanceAlreadyExists",
        "DBSubnetGroupAlreadyExists",
        "DBParameterGroupAlreadyExists",
    ])
}

/// It is not there (any more).
pub(super) fn is_missing(error: &AwsError) -> bool {
    error.is(&[
        "DBClusterNotFoundFault",
        "DBInstanceNotFound",
        "DBSubnetGroupNotFoundFault",
        "DBParameterGroupNotFound",
        "DBClusterParameterGroupNotFound",
    ])
}

/// RDS is at work on it, or on what it belongs to.
pub(super) fn is_busy(error: &AwsError) -> bool {
    error.is(&[
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "InvalidDBParameterGroupState",
        "InvalidDBSubnetGroupStateFault",
    ])
}

pub(super) fn foreign(what: String) -> Error {
    Box::new(AwsError::Unfit {
        what,
        why: "it exists already, without the mark of this environment; it is left alone until it is adopted"
            .into(),
    })
}

/// For messages: `about 40 s`, `about 2 min`.
pub(super) fn about(seconds: u32) -> String {
    if seconds < 120 { format!("about {seconds} s") } else { format!("about {} min", seconds / 60) }
}

/// What RDS is still at work on becomes free within minutes (Terraform waits three).
const PATIENCE: Duration = Duration::from_mins(3);

impl Aws<ReadWrite> {
    /// Calls again for as long as RDS says that it is busy with what the call is about; what is `settled` is fine.
    pub(super) async fn patiently(
        &self,
        progress: &dyn Fn(&str),
        call: impl AsyncFn() -> Result<(), AwsError>,
        busy: impl Fn(&AwsError) -> bool,
        settled: impl Fn(&AwsError) -> bool,
    ) -> Result<(), Error> {
        let begun = tokio::time::Instant::now();
        loop {
            match call().await {
                Ok(()) => return Ok(()),
                Err(error) if settled(&error) => return Ok(()),
                Err(error) if busy(&error) && begun.elapsed() < PATIENCE => {
                    progress(&format!("waiting: {error}"));
                    tokio::time::sleep(self.pause()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::aws::Declared;

    #[test]
    fn the_longest_identifier_that_fits() {
        let clusters = [("prod-main", "main"), ("prod-main-2", "main-2")];
        let clusters =
            clusters.map(|(identifier, name)| (identifier.to_owned(), Declared::named(name))).into();
        let interest = Interest { environment: "prod".into(), clusters, ..Interest::default() };
        let of = |name| belongs_to(name, &Estate::default(), &interest);
        assert_eq!(of("prod-main"), Some(("main".into(), String::new())));
        assert_eq!(of("prod-main-1"), Some(("main".into(), "1".into())));
        assert_eq!(of("prod-main-2-1"), Some(("main-2".into(), "1".into())));
        assert_eq!(of("prod-mainly"), None);
    }
}
