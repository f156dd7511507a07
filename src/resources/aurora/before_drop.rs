//! What is dropped on AWS can be had again: a snapshot of the cluster comes first.

use super::cluster::AuroraCluster;
use crate::{
    engine::{Action, Context, Error, Known, Output, Removal, Resource},
    model::{Address, mark::tag},
    providers::{
        ReadWrite,
        aws::{Aws, AwsError},
    },
    resources::Any,
};

/// Whether data goes with a step.
pub(in crate::resources) fn drops(action: &Action<Any>) -> bool {
    matches!(action, Action::Delete { old } if matches!(old.removal(), Removal::Declared(_)))
}

/// The identifier of the cluster on AWS, if it is there.
fn identifier<'a>(known: &'a Known, cluster: &str) -> Option<&'a str> {
    known.get(&AuroraCluster::address(cluster))?.get(&Output::Arn)?.rsplit(':').next()
}

/// The call, for a plan to show.
pub(in crate::resources) fn effect(action: &Action<Any>, known: &Known) -> Option<String> {
    let cluster = action.existing().filter(|_| drops(action)).and_then(Any::cluster)?;
    let identifier = identifier(known, cluster)?;
    Some(format!(
        "rds:CreateDBClusterSnapshot {identifier} ({identifier}-before-drop-<time>), and wait for it"
    ))
}

/// Takes the snapshot, if data of a cluster on AWS is to go with one of the steps.
pub(in crate::resources) async fn snapshot(
    aws: Option<&Aws<ReadWrite>>,
    environment: &str,
    cluster: &str,
    steps: &[(&Address, Action<Any>)],
    context: &Context<'_>,
) -> Result<(), Error> {
    let Some((address, _)) = steps.iter().find(|(_, action)| drops(action)) else { return Ok(()) };
    let Some(aws) = aws else { return Ok(()) };
    let identifier = identifier(context.known, cluster).ok_or_else(|| AwsError::Unfit {
        what: format!("cluster {cluster}"),
        why: "its identifier is unknown, so no snapshot can be taken before data is dropped".into(),
    })?;
    let time = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S");
    let name = format!("{identifier}-before-drop-{time}");
    let progress = |message: &str| context.progress(address, message);
    let marks = tag::of(environment, address.as_str(), false);
    Ok(aws.snapshot_cluster(identifier, &name, &marks, &progress).await?)
}
