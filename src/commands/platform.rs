//! The platform of an environment, as clients need it: settings for AWS, and the ways to its clusters.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Stop;
use crate::{
    model::{
        environment::{Environment, MachineValue, MongoCluster, Platform},
        mongo_uri::MongoUri,
    },
    providers::{
        aws::{POLL, Settings},
        mongo::Access,
        postgres::{Route, Routes},
    },
    ui::Failure,
};

/// How often AWS is asked while something is being waited for, in milliseconds.
const POLL_VARIABLE: &str = "INFRA_POLL_MILLISECONDS";

/// A value that may stand in a variable or in a file of this machine.
pub(super) fn value(of: &MachineValue, what: &str, folder: &Path) -> Result<String, Stop> {
    match of {
        MachineValue::Plain(text) => Ok(text.clone()),
        MachineValue::Env(of) => match env::var(&of.env) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Failure::new(format!("{what} comes from the variable {}, which is not set", of.env))
                .hint(format!("export {}=...", of.env))
                .into()),
        },
        MachineValue::File(of) => {
            let path = folder.join(&of.file);
            let text = fs::read_to_string(&path).map_err(|error| {
                Failure::of(&error)
                    .named(&format!("{what} comes from {}, which cannot be read", path.display()))
            })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// `None` for an environment that is not on AWS. `folder` is the environment's own.
pub(super) fn settings(environment: &Environment, folder: &Path) -> Result<Option<Settings>, Stop> {
    let Platform::Aws(aws) = &environment.platform else { return Ok(None) };
    let endpoint_url = aws.endpoint_url.as_ref();
    let endpoint_url = endpoint_url.map(|url| value(url, "platform.aws.endpoint_url", folder)).transpose()?;
    Ok(Some(Settings {
        account: aws.account.clone(),
        region: aws.region.clone(),
        profile: aws.profile.clone(),
        role_arn: aws.role_arn.clone(),
        endpoint_url,
        poll: poll()?,
    }))
}

fn poll() -> Result<Duration, Stop> {
    match env::var(POLL_VARIABLE) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
            _ => {
                Err(Failure::new(format!("{POLL_VARIABLE} is `{text}`, which is no number of milliseconds"))
                    .hint("such as 10000, which is the default")
                    .into())
            }
        },
        _ => Ok(POLL),
    }
}

/// How a replica set is reached, or why that cannot be known.
pub(super) fn mongo_access(
    name: &str,
    declared: &MongoCluster,
    folder: &Path,
    application: &str,
) -> Result<Access, String> {
    let uri = mongo_uri(name, declared, folder).map_err(|stop| told(&stop))?;
    Ok(Access::new(uri, application))
}

/// The connection string of a replica set.
pub(super) fn mongo_uri(name: &str, declared: &MongoCluster, folder: &Path) -> Result<MongoUri, Stop> {
    let what = format!("mongo_clusters.{name}.uri");
    let uri = value(&declared.uri, &what, folder)?;
    let pasted = MongoUri::parse(&uri).map_err(|bad| {
        let failure = Failure::new(format!("{what}: {}", bad.message));
        bad.hint.into_iter().fold(failure, Failure::hint)
    })?;
    Ok(pasted.uri)
}

/// A failure in one line.
pub(super) fn told(stop: &Stop) -> String {
    let one = |failure: &Failure| {
        let said = std::iter::once(&failure.summary).chain(&failure.causes).chain(&failure.hints);
        said.cloned().collect::<Vec<_>>().join("; ")
    };
    stop.failures.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The way to each cluster from this machine.
pub(super) fn routes(environment: &Environment, folder: &Path) -> Result<Routes, Stop> {
    let mut routes = BTreeMap::new();
    for (name, cluster) in &environment.clusters {
        let connection = &cluster.connection;
        let host = connection.host.as_ref();
        let host =
            host.map(|host| value(host, &format!("clusters.{name}.connection.host"), folder)).transpose()?;
        let authorities: Option<PathBuf> = connection.ca_file.as_ref().map(|file| folder.join(file));
        let mut route = Route::new(connection.tls, authorities).through(host, connection.port);
        if let Some(command) = &connection.tunnel {
            route = route.tunnel(command.clone());
        }
        routes.insert(name.clone(), route);
    }
    Ok(Routes::new(routes))
}
