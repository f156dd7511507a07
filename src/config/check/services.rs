//! What Postgres and Kubernetes demand of a service.

use std::{collections::HashMap, sync::LazyLock};

use regex_lite::Regex;

use super::Facts;
use crate::{
    config::{
        problem::Problems,
        source::{Spot, quoted},
    },
    model::environment::Scalar,
};

static SETTING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$").ok());

/// Longest value of a setting; those that have a use are far shorter.
const SETTING_BYTES: usize = 1000;

/// Settings that would undo what `infra` arranges, or that Postgres does not take for a role in the form we write.
const REFUSED: [(&str, &str); 7] = [
    ("search_path", "`infra` sets it to the service's own schema"),
    ("role", "the roles of a session are what isolates the services"),
    ("session_authorization", "the roles of a session are what isolates the services"),
    ("session_replication_role", "it switches triggers and foreign keys off"),
    ("local_preload_libraries", "it names libraries to load, as a quoted list"),
    ("session_preload_libraries", "it names libraries to load, as a quoted list"),
    ("temp_tablespaces", "it is a quoted list of tablespaces, of which Aurora has none"),
];

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let mut accounts: HashMap<&str, &str> = HashMap::new();
    for (name, service) in &facts.environment.services {
        for (setting, value) in &service.settings {
            let path = ["services", name, "settings", setting];
            setting_name(problems, setting, facts.key(&path));
            setting_value(problems, setting, value, facts.at(&path));
        }
        for (index, extension) in service.extensions.iter().enumerate() {
            self::extension(problems, extension, facts.item(&["services", name, "extensions"], index));
        }
        if let Some(account) = &service.service_account
            && let Some(other) = accounts.insert(account, name)
        {
            let at = |name: &str| facts.at(&["services", name, "service_account"]);
            problems
                .add(at(name), format!("`{name}` and `{other}` have the same service account"))
                .also(&format!("that of `{other}`"), at(other))
                .because("a service account has one IAM role, so either could log in as the other")
                .mend("give each service a service account of its own");
        }
    }
    for (name, cluster) in &facts.environment.clusters {
        for (setting, value) in &cluster.parameters {
            let path = ["clusters", name, "parameters", setting];
            letters(problems, "parameter", setting, facts.key(&path));
            setting_value(problems, setting, value, facts.at(&path));
        }
    }
    on_aws(facts, problems);
}

fn letters(problems: &mut Problems, word: &str, name: &str, spot: Spot) -> bool {
    let fits = SETTING.as_ref().is_none_or(|regex| regex.is_match(name));
    if !fits {
        problems
            .add(spot, format!("{} is not the name of a {word}", quoted(name)))
            .mend("such names are small letters, digits and `_`, with one dot for those of extensions");
    }
    fits
}

fn setting_name(problems: &mut Problems, setting: &str, spot: Spot) {
    if letters(problems, "setting", setting, spot)
        && let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == setting)
    {
        problems
            .add(spot, format!("`{setting}` cannot be set for a service"))
            .because(*why)
            .mend("delete the line");
    }
}

fn setting_value(problems: &mut Problems, setting: &str, value: &Scalar, spot: Spot) {
    // Control characters are refused in every text of the environment.
    let length = value.text().len();
    if length > SETTING_BYTES {
        problems
            .add(spot, format!("the value of `{setting}` has {length} bytes; it may have {SETTING_BYTES}"));
    }
}

fn extension(problems: &mut Problems, extension: &str, spot: Spot) {
    if extension.trim().is_empty() {
        problems.add(spot, "an extension without a name").mend("delete it");
    } else if extension.len() > super::limits::POSTGRES_NAME {
        problems
            .add(spot, format!("{} is not the name of an extension", quoted(extension)))
            .mend("delete it");
    } else if extension == "plpgsql" {
        problems
            .add(spot, "`plpgsql` need not be asked for")
            .because("every database has it, and it belongs to the server's owner")
            .mend("delete it");
    }
}

fn on_aws(facts: &Facts<'_>, problems: &mut Problems) {
    if !facts.aws() {
        return;
    }
    for (name, service) in &facts.environment.services {
        let path = ["services", name];
        if service.service_account.is_none() && facts.unfit.spares(&path) {
            problems
                .add(facts.key(&path), format!("the service `{name}` has no `service_account`"))
                .because("on AWS a service logs in as the IAM role of its Kubernetes service account")
                .mend("add `service_account:` with `namespace/name`");
        }
    }
    let identity =
        facts.environment.workload_identity.is_some() || !facts.unfit.spares(&["workload_identity"]);
    if !identity && !facts.environment.services.is_empty() && facts.unfit.spares_top() {
        problems
            .add(facts.at(&["platform", "aws"]), "`workload_identity` is missing")
            .because("on AWS it says how the services' Kubernetes accounts become IAM roles")
            .mend("add `workload_identity:` with `{irsa: {oidc_provider: ...}}` or `{pod_identity: {cluster_arn: ...}}`");
    }
}
