//! `infra output`: what an application needs to know, service by service. No secret is among it.

use std::collections::BTreeSet;

use super::{
    Exit, Stop,
    access::unknown,
    platform,
    session::{Session, of_aws},
};
use crate::{
    cli::{self, Global, OutputFormat},
    compose::{self, Places},
    model::{
        mongo_uri::MongoUri,
        service_output::{Server, ServiceOutput},
    },
    providers::{ReadOnly, aws::Aws, postgres::Endpoint},
    report::output as report,
    ui::{Failure, Terminal},
};

pub(super) async fn run(global: &Global, arguments: &cli::Output, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let services = &session.environment.services;
    let wanted: Vec<&str> = match &arguments.service {
        Some(name) => vec![known(&session, name)?],
        None => services.keys().map(String::as_str).collect(),
    };
    let aws = match session.settings()? {
        Some(settings) => Some(Aws::<ReadOnly>::connect(&settings).await.map_err(|error| of_aws(&error))?),
        None => None,
    };
    let live = session.finder("output", aws)?;
    let endpoints = live.endpoints(&session.interest()).await.map_err(|error| Failure::of(error.as_ref()))?;
    let mut outputs = Vec::new();
    for service in wanted {
        let cluster = compose::cluster_of(&session.environment, service).unwrap_or_default();
        let (writer, reader) = endpoints.get(cluster).ok_or_else(|| nowhere(&session, cluster))?;
        let places =
            Places { writer: server(writer), reader: server(reader), mongo: mongo(&session, service)? };
        outputs.extend(compose::service_output(&session.name, &session.environment, service, places));
    }
    let one = arguments.service.is_some();
    let format = if arguments.json { OutputFormat::Json } else { arguments.format };
    terminal.out(&rendered(&outputs, format, one)?)?;
    Ok(Exit::Done)
}

fn rendered(outputs: &[ServiceOutput], format: OutputFormat, one: bool) -> Result<String, Stop> {
    Ok(match format {
        OutputFormat::Text => report::text(outputs),
        OutputFormat::Env => report::env(outputs, !one).map_err(|clash| {
            Failure::of(&clash).hint("name one of them: infra output --format env SERVICE")
        })?,
        OutputFormat::Json => {
            let value = outputs
                .first()
                .filter(|_| one)
                .map_or_else(|| report::all_as_json(outputs), report::one_as_json);
            format!("{value:#}\n")
        }
        OutputFormat::Yaml => report::yaml(outputs),
        OutputFormat::Configmap => report::config_maps(outputs),
    })
}

/// A declared service, or an error that names the one that was meant.
pub(super) fn known<'a>(session: &'a Session, name: &str) -> Result<&'a str, Stop> {
    let services = &session.environment.services;
    let found = services.get_key_value(name).map(|(name, _)| name.as_str());
    found.ok_or_else(|| {
        let names: BTreeSet<&str> = services.keys().map(String::as_str).collect();
        unknown("there is no service", name, &names)
    })
}

/// A cluster whose endpoints nobody can tell yet.
pub(super) fn nowhere(session: &Session, cluster: &str) -> Stop {
    Failure::new(format!("cluster {cluster} does not run, so that where it is is not known"))
        .hint(format!("infra apply -e {} makes and starts it", session.name))
        .into()
}

fn server(endpoint: &Endpoint) -> Server {
    Server { host: endpoint.host.clone(), port: endpoint.port }
}

/// The replica set of a service, as its connection string has it; without what is secret in it.
fn mongo(session: &Session, service: &str) -> Result<Option<MongoUri>, Stop> {
    let environment = &session.environment;
    let named = environment.services.get(service).and_then(|service| service.mongo.as_deref());
    let Some((name, declared)) = named.and_then(|name| Some((name, environment.mongo_clusters.get(name)?)))
    else {
        return Ok(None);
    };
    platform::mongo_uri(name, declared, &session.folder()).map(Some)
}
