//! How users of replica sets prove who they are.

use std::{collections::HashMap, sync::LazyLock};

use regex_lite::Regex;

use super::Facts;
use crate::{
    config::{problem::Problems, source::quoted},
    model::environment::{MongoAuthentication, MongoCluster},
};

/// As MongoDB writes subjects (RFC 2253): no space around commas; what is special in a value stands behind a backslash.
static SUBJECT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^CN=\{name\}(,[A-Za-z][A-Za-z0-9.-]*=([^ ,+<>;\x22\\{}#]|\\.)(([^,+<>;\x22\\{}]|\\.)*([^ ,+<>;\x22\\{}]|\\.))?)*$")
        .ok()
});

/// Longest name of a secret, less `/svc_` and the longest name of a service or a person.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
const PREFIX: usize = 512 - 64;

/// What stands at the end of every mend.
const CERTIFICATES: &str = "`authentication: {x509: {subject: \"CN={name},OU=apps,O=acme\"}}`";

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let mut prefixes: HashMap<String, &str> = HashMap::new();
    for (name, cluster) in &facts.environment.mongo_clusters {
        let path = ["mongo_clusters", name, "authentication"];
        match &cluster.authentication {
            Some(MongoAuthentication::X509(x509)) => {
                if !SUBJECT.as_ref().is_none_or(|regex| regex.is_match(&x509.subject)) {
                    problems
                        .add(
                            facts.at(&["mongo_clusters", name, "authentication", "x509", "subject"]),
                            format!("{} is not the subject of a certificate", quoted(&x509.subject)),
                        )
                        .because("MongoDB compares it letter by letter with what it reads from the certificate")
                        .mend("such as \"CN={name},OU=apps,O=acme\": the name first, and no spaces around the commas");
                }
            }
            Some(MongoAuthentication::Scram(_)) if facts.local() => {
                problems
                    .add(facts.key(&path), format!("the users of `{name}` cannot have passwords here"))
                    .because("a password lies in AWS Secrets Manager and nowhere else, and this environment is not on AWS")
                    .mend(format!("give them certificates: {CERTIFICATES}"));
            }
            Some(MongoAuthentication::Scram(_)) | None if facts.aws() => {
                secrets(facts, problems, name, cluster, &mut prefixes);
            }
            None => unsaid(facts, problems, name),
            Some(MongoAuthentication::Scram(_)) => {}
        }
    }
}

/// On this machine there is no default, for there is nowhere to keep a password.
fn unsaid(facts: &Facts<'_>, problems: &mut Problems, name: &str) {
    let of_service =
        facts.environment.services.iter().find(|(_, service)| service.mongo.as_deref() == Some(name));
    if let Some((service, _)) = of_service
        && facts.local()
        && facts.unfit.spares(&["mongo_clusters", name])
    {
        problems
            .add(
                facts.key(&["mongo_clusters", name]),
                format!("the replica set `{name}` has no `authentication`"),
            )
            .also("this service has to log in", facts.at(&["services", service, "mongo"]))
            .because("the default is passwords in AWS Secrets Manager, and this environment is not on AWS")
            .mend(format!("add {CERTIFICATES}"));
    }
}

fn secrets<'a>(
    facts: &Facts<'_>,
    problems: &mut Problems,
    name: &'a str,
    cluster: &MongoCluster,
    prefixes: &mut HashMap<String, &'a str>,
) {
    let declared = match &cluster.authentication {
        Some(MongoAuthentication::Scram(scram)) => scram.secret_prefix.clone(),
        _ => None,
    };
    let prefix = declared.unwrap_or_else(|| format!("infra/{}/mongo/{name}", facts.name));
    let spot = facts.at(&["mongo_clusters", name, "authentication", "scram", "secret_prefix"]);
    if prefix.len() > PREFIX {
        problems
            .add(spot, format!("`secret_prefix` has {} bytes; it may have {PREFIX}", prefix.len()))
            .because("with the name of a user it must fit the 512 bytes of a secret's name");
    }
    if let Some(other) = prefixes.insert(prefix, name) {
        problems
            .add(spot, format!("the secrets of `{other}` and `{name}` begin alike"))
            .because("a service on both would have one secret for two passwords")
            .mend(
                "write another `secret_prefix`, or delete the line: the default has the cluster's name in it",
            );
    }
}
