//! `names:`: templates that can be filled in, and names that Postgres takes and nobody else has.

use std::{collections::BTreeMap, sync::LazyLock};

use regex_lite::Regex;

use super::{
    Facts,
    limits::{POSTGRES_NAME, SERVICE as RETIRABLE},
    names::{TAKEN, TAKEN_SCHEMAS},
};
use crate::{
    config::{
        problem::Problems,
        source::{Spot, quoted},
    },
    model::{
        environment::Isolation,
        names::{EXTENSIONS, GROUP, Names, OF_SERVICE, PERSON, SERVICE, ServiceNames},
    },
};

/// What may stand around the placeholder. A `/` would end the part of an address, a `*` would match others.
static LETTERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_.$@-]*$").ok());

/// Keys of the environment's `names:`, and what must stand in each.
const KEYS: [(&str, Option<&str>); 12] = [
    ("owner", Some(SERVICE)),
    ("read_write", Some(SERVICE)),
    ("read_only", Some(SERVICE)),
    ("migrator", Some(SERVICE)),
    ("app", Some(SERVICE)),
    ("reader", Some(SERVICE)),
    ("database", Some(SERVICE)),
    ("schema", Some(SERVICE)),
    ("shared_database", None),
    ("shared_owner", None),
    ("group", Some(GROUP)),
    ("person", Some(PERSON)),
];

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let environment = facts.environment;
    let mut sound = true;
    for (key, placeholder) in KEYS {
        let Some(template) = environment.names.get(key) else { continue };
        let spot = facts.at(&["names", key]);
        // In a database of its own every service may have the same schema.
        let may_be_fixed = key == "schema" && environment.isolation == Isolation::Database;
        sound &= self::template(problems, spot, key, template, placeholder, may_be_fixed);
    }
    let mut differs = !environment.names.is_default();
    for (path, names) in overrides(facts) {
        differs = true;
        for key in OF_SERVICE {
            let Some(template) = names.get(key) else { continue };
            let place = [path.as_slice(), &["names", key]].concat();
            sound &= self::template(problems, facts.at(&place), key, template, Some(SERVICE), true);
            if environment.isolation == Isolation::Schema && key == "database" {
                problems
                    .add(facts.key(&place), "`database` has no meaning with `isolation: schema`")
                    .mend("delete the line; `names.shared_database` names the database that services share");
            }
        }
    }
    // Of names that no template gives there is nothing to say, and what follows from our own is checked elsewhere.
    if sound && differs {
        made(facts, problems);
    }
}

fn overrides<'a>(facts: &Facts<'a>) -> Vec<(Vec<&'a str>, &'a ServiceNames)> {
    let environment = facts.environment;
    let declared = environment
        .services
        .iter()
        .filter_map(|(name, service)| Some((vec!["services", name.as_str()], service.names.as_ref()?)));
    let removed = environment.removed.services.iter().filter_map(|(name, service)| {
        Some((vec!["removed", "services", name.as_str()], service.names.as_ref()?))
    });
    declared.chain(removed).collect()
}

fn template(
    problems: &mut Problems,
    spot: Spot,
    key: &str,
    template: &str,
    placeholder: Option<&str>,
    may_be_fixed: bool,
) -> bool {
    let rest =
        placeholder.map_or_else(|| template.to_owned(), |placeholder| template.replace(placeholder, ""));
    if template.is_empty() || LETTERS.as_ref().is_some_and(|letters| !letters.is_match(&rest)) {
        let filled = placeholder.map(|placeholder| format!(", and `{placeholder}`")).unwrap_or_default();
        problems
            .add(spot, format!("{} cannot be the name of `{key}`", quoted(template)))
            .mend(format!("a name has letters, digits and `_.$@-`{filled}"));
        return false;
    }
    match placeholder {
        Some(placeholder) if !may_be_fixed && !template.contains(placeholder) => {
            let what = placeholder.trim_matches(['{', '}']);
            problems
                .add(spot, format!("{} does not contain `{placeholder}`", quoted(template)))
                .because(format!("every {what} would have the same `{key}`"))
                .mend(format!("such as `{placeholder}_{}`", quoted(template).trim_matches('`')));
            false
        }
        _ => true,
    }
}

/// One name that is made, for what, and where it is said.
struct Made {
    name: String,
    what: String,
    spot: Spot,
    /// Longest it may be.
    most: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Role,
    Database,
    Schema,
}

/// Why `names:` cannot say this name, if it cannot.
pub fn unsayable(name: &str, kind: Kind, isolation: Isolation) -> Option<String> {
    if name.is_empty() || LETTERS.as_ref().is_some_and(|letters| !letters.is_match(name)) {
        return Some("a name in the YAML has letters, digits and `_.$@-`".into());
    }
    let most = longest(kind, isolation);
    if name.len() > most {
        return Some(format!("its name has {} bytes; it may have {most}", name.len()));
    }
    reserved(name, kind, isolation).map(str::to_owned)
}

/// What may be renamed when it is retired has to leave room for that.
fn longest(kind: Kind, isolation: Isolation) -> usize {
    match (isolation, kind) {
        (Isolation::Database, Kind::Database) | (Isolation::Schema, Kind::Schema) => RETIRABLE,
        _ => POSTGRES_NAME,
    }
}

fn made(facts: &Facts<'_>, problems: &mut Problems) {
    let mut taken: BTreeMap<(String, Kind, String), (String, Spot)> = BTreeMap::new();
    let mut said = Vec::new();
    for (cluster, made) in all(facts) {
        if !fits(problems, &made, facts.environment.isolation) {
            continue;
        }
        let Made { name, what, spot, kind, .. } = made;
        // In databases of their own, services may have schemas of one name.
        if kind == Kind::Schema && facts.environment.isolation == Isolation::Database {
            continue;
        }
        let key = (cluster, kind, name.clone());
        if let Some((other, there)) = taken.get(&key) {
            // Two templates that are alike are so for every service.
            if said.contains(&(spot, *there)) {
                continue;
            }
            said.push((spot, *there));
            problems
                .add(spot, format!("{} would be both {other} and {what}", quoted(&name)))
                .also(other, *there)
                .mend("give one of them another name under `names:`");
        } else {
            taken.insert(key, (what, spot));
        }
    }
}

fn all(facts: &Facts<'_>) -> Vec<(String, Made)> {
    let environment = facts.environment;
    let names = Names::of(environment);
    let first = environment.clusters.keys().next().cloned().unwrap_or_default();
    let declared = environment.services.iter().map(|(name, service)| ("services", name, &service.cluster));
    let removed =
        environment.removed.services.iter().map(|(name, service)| ("removed", name, &service.cluster));
    let mut all = Vec::new();
    for (section, service, cluster) in declared.chain(removed) {
        let cluster = cluster.clone().unwrap_or_else(|| first.clone());
        let path: &[&str] =
            if section == "services" { &["services", service] } else { &["removed", "services", service] };
        let roles = names.roles(service);
        let schema = names.schema(service);
        let of = |key: &str, name: String, kind: Kind| {
            let own = [path, &["names", key]].concat();
            let spot = facts.root.entry(&own).or_else(|| facts.root.entry(&["names", key]));
            let spot = spot.map_or_else(|| facts.key(path), |entry| entry.node.spot);
            let what = format!("the `{key}` of service `{service}`");
            Made { name, what, spot, most: longest(kind, environment.isolation), kind }
        };
        let [owner, writers, readers, migrator, app, reader] = roles.all().map(str::to_owned);
        let mut made = vec![
            of("owner", owner, Kind::Role),
            of("read_write", writers, Kind::Role),
            of("read_only", readers, Kind::Role),
            of("migrator", migrator, Kind::Role),
            of("app", app, Kind::Role),
            of("reader", reader, Kind::Role),
            of("schema", schema, Kind::Schema),
        ];
        if environment.isolation == Isolation::Database {
            made.push(of("database", names.database(service), Kind::Database));
        }
        all.extend(made.into_iter().map(|made| (cluster.clone(), made)));
    }
    for cluster in environment.clusters.keys() {
        let mut add = |section: &str, name: &str, key: &str, made: String, kind: Kind, what: String| {
            let spot = facts
                .root
                .entry(&["names", key])
                .map_or_else(|| facts.key(&[section, name]), |e| e.node.spot);
            all.push((cluster.clone(), Made { name: made, what, spot, most: POSTGRES_NAME, kind }));
        };
        for name in environment.people.keys() {
            add("people", name, "person", names.person(name), Kind::Role, format!("the login of `{name}`"));
        }
        // One with a person's name is said elsewhere.
        for name in environment.developer_groups.keys().filter(|name| !environment.people.contains_key(*name))
        {
            let what = format!("the role of group `{name}`");
            add("developer_groups", name, "group", names.group(name), Kind::Role, what);
        }
        if environment.isolation == Isolation::Schema {
            let owner = "the owner of the shared database".to_owned();
            add("clusters", cluster, "shared_owner", names.shared_owner(), Kind::Role, owner);
            let what = "the shared database".to_owned();
            add("clusters", cluster, "shared_database", names.shared_database(), Kind::Database, what);
        }
    }
    all
}

fn fits(problems: &mut Problems, made: &Made, isolation: Isolation) -> bool {
    let Made { name, what, spot, most, kind } = made;
    if name.len() > *most {
        let because = if *most == POSTGRES_NAME {
            format!("Postgres keeps {POSTGRES_NAME} bytes of a name")
        } else {
            "with `__retired_<date>` it must fit the 63 bytes of a Postgres name".into()
        };
        problems
            .add(*spot, format!("{} is {what}: {} bytes; it may have {most}", quoted(name), name.len()))
            .because(because)
            .mend("choose a shorter name");
        return false;
    }
    let Some(why) = reserved(name, *kind, isolation) else { return true };
    problems
        .add(*spot, format!("{} cannot be {what}", quoted(name)))
        .because(why)
        .mend("choose another name");
    false
}

fn reserved(name: &str, kind: Kind, isolation: Isolation) -> Option<&'static str> {
    let begins = |start: &str| name.starts_with(start);
    match kind {
        _ if begins("pg_") => Some("Postgres keeps names that begin with `pg_` for itself"),
        Kind::Role if begins("rds") => Some("names of AWS's own roles begin so"),
        Kind::Role if begins("infra_") => Some("`infra` names its own logins so"),
        Kind::Role if matches!(name, "public" | "none" | "postgres") => {
            Some("Postgres or its master has this name")
        }
        Kind::Database | Kind::Schema if name.contains("__retired_") => {
            Some("what is kept of removed services is named so")
        }
        Kind::Database => TAKEN.iter().find(|(taken, _)| *taken == name).map(|(_, why)| *why),
        Kind::Schema => {
            // In a database of its own, a service may live where everything lies that nobody has put elsewhere.
            let may_be = |taken: &str| taken == EXTENSIONS && isolation == Isolation::Database;
            let taken = TAKEN_SCHEMAS.iter().filter(|(taken, _)| *taken != "shared" && !may_be(taken));
            taken.clone().find(|(taken, _)| *taken == name).map(|(_, why)| *why)
        }
        Kind::Role => None,
    }
}
