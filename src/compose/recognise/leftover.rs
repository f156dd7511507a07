//! Why what was found is not in the YAML.

use std::collections::BTreeSet;

use super::{Cluster, Proposal, Remark, Survey};
use crate::{
    compose::compose,
    engine::{Removal, Resource as _},
    model::{Address, names::IAM},
    providers::postgres::{PLANNER, ident},
    resources::{
        Any,
        pg_database::{PgDatabase, State},
        pg_extension::PgExtension,
        pg_role::PgRole,
        pg_schema::PgSchema,
    },
};

/// A remark for each thing that is neither ours nor would be declared, unless one was made already.
pub(super) fn remarks(survey: &Survey<'_>, clusters: &[Cluster], proposal: &mut Proposal) {
    let merged = proposal.added.to(survey.environment);
    let declared = compose(survey.name, &merged).resources;
    let said: BTreeSet<String> = proposal.remarks.iter().map(|remark| remark.about.clone()).collect();
    for (address, found) in &survey.world.found {
        if found.owned || found.resource.removal() == Removal::Implied {
            continue;
        }
        if let Some(other) = found.resource.environment() {
            let why = format!("it carries the mark of environment {other}");
            proposal.remarks.insert(Remark::of(address, why));
            continue;
        }
        let unreadable = survey.world.unreadable.contains_key(address);
        if declared.contains_key(address) || said.contains(address.as_str()) || unreadable {
            continue;
        }
        let why = why(address, &found.resource, clusters);
        proposal.remarks.insert(Remark::of(address, why));
    }
    for (address, why) in &survey.world.unreadable {
        let mend = match (address.kind(), address.path().split_once('/')) {
            ("pg_database", Some((_, name))) => {
                format!("; to let us look: GRANT CONNECT ON DATABASE {} TO {}", ident(name), ident(PLANNER))
            }
            _ => String::new(),
        };
        proposal.remarks.insert(Remark::of(address, format!("it could not be read: {why}{mend}")));
    }
}

fn why(address: &Address, any: &Any, clusters: &[Cluster]) -> String {
    if let Ok(role) = PgRole::try_from(any.clone()) {
        return of_role(&role, clusters);
    }
    if let Ok(schema) = PgSchema::try_from(any.clone()) {
        return format!(
            "the schema `{}` of `{}` is no service's own; what a service's owner owns in its database is held to its rules \
             all the same",
            schema.name, schema.database
        );
    }
    if let Ok(extension) = PgExtension::try_from(any.clone()) {
        return if extension.can_be_marked() {
            format!("an extension of a service lies in `public`; this one lies in `{}`", extension.schema)
        } else {
            "it belongs to a superuser, so nobody else can write the mark on it".into()
        };
    }
    if let Ok(database) = PgDatabase::try_from(any.clone())
        && database.state != State::Active
    {
        return "it is retired".into();
    }
    match address.kind() {
        "iam_role" => "what it is for is not declared; only roles of declared services and people are adopted".into(),
        "mongo_user" | "mongo_role" if !address.path().contains('.') => {
            "in MongoDB the name says for whom it is, and no declared service, group or person has it; a service also needs \
             `mongo:` with the replica set"
                .into()
        }
        "mongo_user" | "mongo_role" => {
            "in MongoDB what is made for a service is named `svc_<service>`, for a group or a person `dev_<name>`".into()
        }
        _ => "nothing in the YAML declares it".into(),
    }
}

fn of_role(role: &PgRole, clusters: &[Cluster]) -> String {
    let cluster = clusters.iter().find(|cluster| cluster.name == role.cluster);
    let databases: Vec<&str> = cluster
        .into_iter()
        .flat_map(|cluster| cluster.databases.values())
        .filter(|database| database.owner == role.name)
        .map(|database| database.name.as_str())
        .collect();
    let traces = role.facts.traces.keys().map(String::as_str);
    let traces: Vec<&str> = traces.filter(|database| !databases.contains(database)).collect();
    let of: Vec<&str> = role.member_of.keys().filter(|of| *of != IAM).map(String::as_str).collect();
    let listed = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut what = vec![if role.login { "it may log in".to_owned() } else { "nobody logs in as it".into() }];
    if !databases.is_empty() {
        what.push(format!("owns {}", listed(&databases)));
    }
    if !traces.is_empty() {
        what.push(format!("owns or may use something in {}", listed(&traces)));
    }
    if !of.is_empty() {
        what.push(format!("is a member of {}", listed(&of)));
    }
    let fits = if role.login {
        "no login of one service (migrator, app or reader), and no person who is in groups alone"
    } else {
        "no owner and no group of one service, and no group of people"
    };
    format!("{}: {fits}", what.join(", "))
}
