//! What this machine must have.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::super::session::Session;
use crate::{
    compose,
    model::environment::Platform,
    providers::{ReadOnly, local::Local},
    report::checks::{Check, Topic},
    snapshot,
};

/// Programs that are called, each with what for.
pub(super) fn checks(session: &Session) -> Vec<Check> {
    let environment = &session.environment;
    let mut found = Vec::new();
    if matches!(environment.platform, Platform::Local(_)) {
        let local = Local::<ReadOnly>::new(&session.project, &session.name);
        found.extend(environment.clusters.iter().map(|(name, cluster)| {
            match local.newest_version(cluster.engine_version.as_deref()) {
                Ok(version) => Check::ok(Topic::Programs, name, format!("PostgreSQL {version} is there")),
                Err(error) => Check::fail(
                    Topic::Programs,
                    name,
                    crate::model::causes(&error),
                    "install PostgreSQL 15 or later, or put its programs on PATH",
                ),
            }
        }));
    }
    let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
    for (cluster, _, policy) in compose::snapshotted(environment) {
        wanted.push((format!("snapshots of {cluster}"), policy.snapshot_command.clone()));
        wanted.extend(
            policy.delete_command.clone().map(|command| (format!("deletes snapshots of {cluster}"), command)),
        );
    }
    wanted.extend(environment.clusters.iter().filter_map(|(name, cluster)| {
        Some((format!("tunnel to {name}"), cluster.connection.tunnel.clone()?))
    }));
    found.extend(wanted.into_iter().map(|(what, command)| match snapshot::program(&command) {
        Ok(program) => Check::ok(Topic::Programs, what, program.display().to_string()),
        Err(why) => {
            Check::fail(Topic::Programs, what, why, "install it, or name it with its path in the YAML")
        }
    }));
    let clients =
        [("psql", !environment.clusters.is_empty()), ("mongosh", !environment.mongo_clusters.is_empty())];
    found.extend(clients.into_iter().filter(|(_, needed)| *needed).map(
        |(client, _)| match snapshot::program(&[client.to_owned()]) {
            Ok(program) => Check::ok(Topic::Programs, client, program.display().to_string()),
            Err(why) => {
                Check::warn(Topic::Programs, client, why, "only people who work in databases by hand need it")
            }
        },
    ));
    found
}

/// Whether a folder, or the nearest one above it that is there, lets this user write.
pub(super) fn may_write(folder: &Path) -> bool {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let there = absolute.ancestors().find(|folder| folder.exists());
    there.is_some_and(|there| access(there, AccessFlags::W_OK).is_ok())
}
