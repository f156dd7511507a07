//! The platform, and what an environment has only one of.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::{Facts, people::is_role};
use crate::{
    config::{problem::Problems, source::quoted},
    model::environment::{MachineValue, Platform, WorkloadIdentity},
};

static REGION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z]{2}(-[a-z]+)+-[0-9]+$").ok());
static EKS_CLUSTER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/.+$").ok());
static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Za-z_][A-Za-z0-9_]*$").ok());

/// Most tags we leave to the author: AWS allows 50, and the marks of `infra` take some.
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>
const TAGS: usize = 40;
const TAG_KEY: usize = 128;
const TAG_VALUE: usize = 256;

fn fits(regex: Option<&Regex>, text: &str) -> bool {
    regex.is_none_or(|regex| regex.is_match(text))
}

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    if let Platform::Aws(aws) = &facts.environment.platform {
        let at = |key| facts.at(&["platform", "aws", key]);
        if !fits(REGION.as_ref(), &aws.region) {
            problems
                .add(at("region"), format!("{} is not a region of AWS", quoted(&aws.region)))
                .mend("such as eu-central-1, without the letter of a zone");
        }
        if let Some(role) = aws.role_arn.as_ref().filter(|role| !is_role(role)) {
            problems
                .add(at("role_arn"), format!("{} is not the ARN of an IAM role", quoted(role)))
                .mend("such as \"arn:aws:iam::111122223333:role/infra\"");
        }
        if let Some(url) = &aws.endpoint_url {
            machine_value(
                facts,
                problems,
                url,
                &["platform", "aws", "endpoint_url"],
                &["http://", "https://"],
            );
        }
    }
    identity(facts, problems);
    ledger(facts, problems);
    tags(facts, problems);
    for (name, cluster) in &facts.environment.mongo_clusters {
        let path = ["mongo_clusters", name, "uri"];
        machine_value(facts, problems, &cluster.uri, &path, &["mongodb://", "mongodb+srv://"]);
    }
    for (name, cluster) in &facts.environment.clusters {
        if let Some(host) = &cluster.connection.host {
            machine_value(facts, problems, host, &["clusters", name, "connection", "host"], &[]);
        }
    }
}

/// A value that may come from elsewhere, and with what it begins when it is written out.
fn machine_value(
    facts: &Facts<'_>,
    problems: &mut Problems,
    value: &MachineValue,
    path: &[&str],
    schemes: &[&str],
) {
    let spot = facts.at(path);
    match value {
        MachineValue::Plain(text) if text.is_empty() => {
            problems
                .add(spot, format!("`{}` is empty", path.join(".")))
                .mend("write a value, or delete the line");
        }
        MachineValue::Plain(text)
            if !schemes.is_empty() && !schemes.iter().any(|scheme| text.starts_with(scheme)) =>
        {
            problems
                .add(spot, format!("`{}` is {}", path.join("."), quoted(text)))
                .mend(format!("begin it with {}", crate::config::problem::listed(schemes, "or")));
        }
        MachineValue::Env(variable) if !fits(VARIABLE.as_ref(), &variable.env) => {
            problems
                .add(spot, format!("{} cannot be the name of an environment variable", quoted(&variable.env)))
                .mend("such names are letters, digits and `_`, without a `$`");
        }
        MachineValue::File(file) if file.file.is_empty() => {
            problems.add(spot, "the path of the file is empty");
        }
        _ => {}
    }
}

fn identity(facts: &Facts<'_>, problems: &mut Problems) {
    match &facts.environment.workload_identity {
        Some(WorkloadIdentity::Irsa(irsa)) => {
            let provider = &irsa.oidc_provider;
            let spot = facts.at(&["workload_identity", "irsa", "oidc_provider"]);
            if let Some(bare) = provider.strip_prefix("https://") {
                problems
                    .add(spot, "`workload_identity.irsa.oidc_provider` is written without `https://`")
                    .mend(format!("write {bare}"));
            } else if !provider.contains('.')
                || provider.contains("://")
                || provider.contains(char::is_whitespace)
            {
                problems
                    .add(spot, format!("{} is not the issuer of an OIDC provider", quoted(provider)))
                    .mend("such as oidc.eks.eu-central-1.amazonaws.com/id/ABC123");
            }
        }
        Some(WorkloadIdentity::PodIdentity(identity))
            if !fits(EKS_CLUSTER.as_ref(), &identity.cluster_arn) =>
        {
            problems
                .add(
                    facts.at(&["workload_identity", "pod_identity", "cluster_arn"]),
                    format!("{} is not the ARN of an EKS cluster", quoted(&identity.cluster_arn)),
                )
                .mend("such as \"arn:aws:eks:eu-central-1:111122223333:cluster/main\"");
        }
        _ => {}
    }
}

fn ledger(facts: &Facts<'_>, problems: &mut Problems) {
    let Some(ledger) = &facts.environment.ledger else { return };
    let bucket = ledger.strip_prefix("s3://").map(|rest| rest.split('/').next().unwrap_or(""));
    let other_scheme = bucket.is_none() && ledger.contains("://");
    if ledger.is_empty() || bucket == Some("") || other_scheme {
        problems
            .add(facts.at(&["ledger"]), format!("the ledger cannot be kept at {}", quoted(ledger)))
            .mend("name a folder, or `s3://bucket/prefix`");
    }
}

fn tags(facts: &Facts<'_>, problems: &mut Problems) {
    let tags = &facts.environment.tags;
    for (key, value) in tags {
        let path = ["tags", key];
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") || lower.starts_with("infra:") {
            problems
                .add(facts.key(&path), format!("the tag {} cannot be set", quoted(key)))
                .because("AWS keeps tags that begin with `aws:` for itself, and `infra` those that begin with `infra:`")
                .mend("rename it");
        }
        if key.chars().count() > TAG_KEY || value.chars().count() > TAG_VALUE {
            problems.add(facts.key(&path), format!("the tag {} is too long", quoted(key))).because(format!(
                "AWS allows {TAG_KEY} characters for the name and {TAG_VALUE} for the value"
            ));
        }
    }
    if tags.len() > TAGS {
        problems
            .add(facts.key(&["tags"]), format!("there are {} tags; there may be {TAGS}", tags.len()))
            .because("AWS allows 50 for one object, and `infra` adds some of its own");
    }
}
