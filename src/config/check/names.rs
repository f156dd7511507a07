//! Names people choose: their letters, their length, and those that are taken.

use regex_lite::Regex;
use std::sync::LazyLock;

use super::{
    Facts,
    limits::{self, CLUSTER, ENVIRONMENT, IAM_ROLE_NAME, PERSON, SERVICE},
};
use crate::{
    config::{
        problem::Problems,
        source::{Spot, quoted},
    },
    model::environment::Isolation,
};

/// Databases and roles that every cluster has already, or that `infra` itself makes.
pub(super) const TAKEN: [(&str, &str); 6] = [
    ("postgres", "every Postgres has a database of this name"),
    ("template0", "every Postgres has a database of this name"),
    ("template1", "every Postgres has a database of this name"),
    ("rdsadmin", "AWS keeps a database of this name on every cluster"),
    ("infra", "`infra` uses this name itself"),
    ("rds", "names of AWS's own roles begin so"),
];

/// Names that a schema cannot have; only where services share a database.
pub(super) const TAKEN_SCHEMAS: [(&str, &str); 3] = [
    ("public", "every database has a schema of this name"),
    ("information_schema", "every database has a schema of this name"),
    ("shared", "the database that the services share has this name"),
];

/// Databases that every MongoDB has for itself.
const TAKEN_MONGO: [&str; 3] = ["admin", "local", "config"];

static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z][a-z0-9_-]*$").ok());
static ENVIRONMENT_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z0-9][a-z0-9-]*$").ok());

fn fits(regex: Option<&Regex>, text: &str) -> bool {
    regex.is_none_or(|regex| regex.is_match(text))
}

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    environment_name(facts, problems);
    for (section, word, most, becomes) in [
        (
            "services",
            "service",
            SERVICE,
            "`<name>__retired_<date>` and `svc_<name>_migrator` must fit the 63 bytes of a Postgres name",
        ),
        ("people", "person", PERSON, "`dev_<name>` must fit the 63 bytes of a Postgres name"),
        ("developer_groups", "group", PERSON, "`dev_<name>` must fit the 63 bytes of a Postgres name"),
        (
            "clusters",
            "cluster",
            CLUSTER,
            "with environment and number it must fit the 63 bytes of an Aurora identifier",
        ),
        ("mongo_clusters", "MongoDB cluster", SERVICE, "it stands in addresses and in the names of locks"),
        ("backup_policies", "backup policy", SERVICE, "it stands in addresses"),
    ] {
        // What is no name at all was said when the structure was checked.
        let unsaid = |name: &&String| !name.contains("${") && !name.chars().any(char::is_control);
        for name in facts.names.of_section(section).filter(unsaid) {
            let spot = facts.key(&[section, name]);
            let named = Named { word, name, spot };
            if named.letters(problems) {
                named.length(problems, most, becomes);
            }
        }
    }
    for name in facts.environment.removed.services.keys() {
        let spot = facts.key(&["removed", "services", name]);
        Named { word: "service", name, spot }.letters(problems);
    }
    services(facts, problems);
    people_and_groups(facts, problems);
    roles(facts, problems);
}

fn environment_name(facts: &Facts<'_>, problems: &mut Problems) {
    let name = facts.name;
    if !fits(ENVIRONMENT_NAME.as_ref(), name) {
        problems
            .add(facts.start, format!("the environment's name {} cannot be used", quoted(name)))
            .mend("rename the folder: small letters, digits and hyphens, such as `prod` or `test-eu`");
    } else if name.len() > ENVIRONMENT {
        problems
            .add(
                facts.start,
                format!(
                    "the environment's name `{name}` has {} bytes; it may have {ENVIRONMENT}",
                    name.len()
                ),
            )
            .because("with cluster and number it must fit the 63 bytes of an Aurora identifier")
            .mend("rename the folder");
    }
}

struct Named<'a> {
    word: &'a str,
    name: &'a str,
    spot: Spot,
}

impl Named<'_> {
    fn letters(&self, problems: &mut Problems) -> bool {
        let fits = fits(NAME.as_ref(), self.name);
        if !fits {
            let lower = self.name.to_lowercase().replace(['.', ' ', '/'], "-");
            let better = (lower != self.name && NAME.as_ref().is_some_and(|name| name.is_match(&lower)))
                .then(|| format!(", such as `{lower}`"));
            problems
                .add(self.spot, format!("the {} name {} cannot be used", self.word, quoted(self.name)))
                .mend(format!(
                    "a name begins with a small letter and goes on with small letters, digits, `_` and `-`{}",
                    better.unwrap_or_default()
                ));
        }
        fits
    }

    fn length(&self, problems: &mut Problems, most: usize, becomes: &str) {
        if self.name.len() > most {
            problems
                .add(
                    self.spot,
                    format!(
                        "the {} name `{}` has {} bytes; it may have {most}",
                        self.word,
                        self.name,
                        self.name.len()
                    ),
                )
                .because(becomes)
                .mend("choose a shorter name");
        }
    }
}

fn services(facts: &Facts<'_>, problems: &mut Problems) {
    let schemas = facts.environment.isolation == Isolation::Schema;
    for name in facts.names.of_section("services") {
        let spot = || facts.key(&["services", name]);
        let in_schemas = TAKEN_SCHEMAS.iter().filter(|_| schemas);
        let taken = TAKEN.iter().chain(in_schemas).find(|(taken, _)| taken == name).map(|(_, why)| *why);
        let why = taken.or_else(|| {
            if name.starts_with("pg_") {
                Some("Postgres keeps names that begin with `pg_` for itself")
            } else if name.contains("__retired_") {
                Some("databases of removed services are named so")
            } else {
                None
            }
        });
        if let Some(why) = why {
            problems
                .add(spot(), format!("a service cannot have the name `{name}`"))
                .because(why)
                .mend("choose another name");
        }
        let mongo = facts.environment.services.get(name).is_some_and(|service| service.mongo.is_some());
        if mongo && TAKEN_MONGO.contains(&name.as_str()) {
            problems
                .add(spot(), format!("a service with `mongo` cannot have the name `{name}`"))
                .because("every MongoDB has a database of this name for itself")
                .mend("choose another name");
        }
    }
    for name in facts.environment.removed.services.keys() {
        if facts.names.has("services", name) {
            problems
                .add(
                    facts.key(&["removed", "services", name]),
                    format!("the service `{name}` is declared and removed at once"),
                )
                .also("declared here", facts.key(&["services", name]))
                .mend(format!(
                    "delete one of the two; without `removed.services.{name}` it is kept, or restored"
                ));
        }
    }
}

/// Both become the role `dev_<name>`.
fn people_and_groups(facts: &Facts<'_>, problems: &mut Problems) {
    for name in facts.names.of_section("developer_groups").filter(|name| facts.names.has("people", name)) {
        problems
            .add(
                facts.key(&["developer_groups", name]),
                format!("a person and a group are both named `{name}`"),
            )
            .also("the person", facts.key(&["people", name]))
            .because(format!("both would be the role `dev_{name}`"))
            .mend("rename the group");
    }
}

/// Names of IAM roles hold the environment too, so each may be short enough and both together too long.
fn roles(facts: &Facts<'_>, problems: &mut Problems) {
    if !facts.aws() {
        return;
    }
    for (section, most) in [("services", SERVICE), ("people", PERSON)] {
        for name in facts.names.of_section(section).filter(|name| name.len() <= most) {
            let bytes = limits::iam_role_bytes(facts.name, name);
            if bytes > IAM_ROLE_NAME {
                let kind = if section == "people" { "dev" } else { "svc" };
                let over = bytes - IAM_ROLE_NAME;
                problems
                    .add(
                        facts.key(&[section, name]),
                        format!("`{name}` is {over} bytes too long for the name of an IAM role"),
                    )
                    .because(format!(
                        "the role is `infra-{}-{kind}-{name}`: {bytes} bytes, and IAM allows {IAM_ROLE_NAME}",
                        facts.name
                    ))
                    .mend("choose a shorter name");
            }
        }
    }
}
