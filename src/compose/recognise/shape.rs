//! One service, by who owns what, who is a member of whom, and who may connect.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Cluster, Remark,
    words::{MIGRATES, READS, WRITES, common, has, key, says},
};
use crate::{
    config::naming::{Kind, unsayable},
    model::{
        environment::{Environment, Isolation, Scalar},
        names::{EXTENSIONS, IAM},
    },
    resources::{
        pg_database::{PgDatabase, State},
        pg_extension::PgExtension,
        pg_role::PgRole,
        pg_schema::PgSchema,
    },
};

const ROLES: [&str; 6] = ["owner", "read_write", "read_only", "migrator", "app", "reader"];

/// Settings that we make ourselves, or that no service may have.
const OURS: [&str; 7] = [
    "search_path",
    "role",
    "session_authorization",
    "session_replication_role",
    "local_preload_libraries",
    "session_preload_libraries",
    "temp_tablespaces",
];

/// A service that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) cluster: String,
    /// Its name in the YAML.
    pub(super) service: String,
    /// What its names have in common.
    pub(super) stem: String,
    /// Names of what there is, by the keys of `names:`.
    pub(super) names: BTreeMap<&'static str, String>,
    pub(super) extensions: Vec<String>,
    pub(super) settings: BTreeMap<String, Scalar>,
    /// Connections of `app` and `reader`, if they are alike.
    pub(super) limit: Option<i32>,
    pub(super) migrator_limit: Option<i32>,
}

impl Shape {
    /// Of the schema in a shared database, or of the database.
    pub(super) fn address(&self) -> crate::model::Address {
        let name = |key: &str| self.name(key).map(String::as_str).unwrap_or_default();
        match self.name("shared_database") {
            Some(database) => PgSchema::address(&self.cluster, database, name("schema")),
            None => PgDatabase::address(&self.cluster, name("database")),
        }
    }

    pub(super) fn name(&self, key: &str) -> Option<&String> {
        self.names.get(key)
    }
}

/// Where a service could be.
struct Place<'a> {
    database: &'a PgDatabase,
    /// Its own in a shared database; none where the database is its own.
    schema: Option<&'a PgSchema>,
}

impl Place<'_> {
    fn owner(&self) -> &str {
        self.schema.map_or(&self.database.owner, |schema| &schema.owner)
    }

    fn name(&self) -> &str {
        self.schema.map_or(&self.database.name, |schema| &schema.name)
    }

    fn address(&self) -> crate::model::Address {
        let PgDatabase { cluster, name, .. } = self.database;
        self.schema.map_or_else(
            || PgDatabase::address(cluster, name),
            |schema| PgSchema::address(cluster, name, &schema.name),
        )
    }
}

/// Every service of a cluster; and why a database or a schema is none.
pub(super) fn all(cluster: &Cluster, isolation: Isolation, remarks: &mut BTreeSet<Remark>) -> Vec<Shape> {
    let active = cluster.databases.values().filter(|database| database.state == State::Active);
    let places: Vec<Place<'_>> = match isolation {
        Isolation::Database => active.map(|database| Place { database, schema: None }).collect(),
        Isolation::Schema => {
            let schemas = cluster.schemas.iter().filter_map(|schema| {
                let database = cluster.databases.get(&schema.database)?;
                (schema.owner != database.owner).then_some(Place { database, schema: Some(schema) })
            });
            schemas.collect()
        }
    };
    let mut sound = Vec::new();
    for place in places {
        match owner(cluster, &place) {
            Ok(stem) => sound.push((place, stem)),
            Err(why) => {
                remarks.insert(Remark::of(&place.address(), why));
            }
        }
    }
    let databases: BTreeSet<&str> = sound.iter().map(|(place, _)| place.database.name.as_str()).collect();
    if isolation == Isolation::Schema && databases.len() > 1 {
        let all: Vec<&str> = databases.into_iter().collect();
        let why = format!(
            "services of one cluster share one database, and schemas of several owners are in {}",
            all.join(", ")
        );
        remarks.extend(sound.iter().map(|(place, _)| Remark::of(&place.address(), why.clone())));
        return Vec::new();
    }
    let stems: Vec<String> = sound.iter().map(|(_, stem)| stem.clone()).collect();
    let mut shapes: Vec<Shape> =
        sound.iter().map(|(place, stem)| shape(cluster, place, stem, &stems)).collect();
    of_one_service(&mut shapes);
    shapes
}

/// What several services use, or one in two ways, is no service's own.
fn of_one_service(shapes: &mut [Shape]) {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for name in shapes.iter().flat_map(|shape| ROLES.iter().filter_map(|key| shape.names.get(key))) {
        *uses.entry(name.clone()).or_default() += 1;
    }
    for shape in shapes {
        shape.names.retain(|key, name| !ROLES.contains(key) || uses.get(name) == Some(&1));
    }
}

/// Whether the owner can be a service's; answers with what the names have in common.
fn owner(cluster: &Cluster, place: &Place<'_>) -> Result<String, String> {
    let owner = place.owner();
    let isolation = if place.schema.is_some() { Isolation::Schema } else { Isolation::Database };
    let shared = place.schema.map(|schema| (schema.name.as_str(), Kind::Schema));
    let names =
        [(place.database.name.as_str(), Kind::Database), (owner, Kind::Role)].into_iter().chain(shared);
    let shared_owner = place.schema.map(|_| (place.database.owner.as_str(), Kind::Role));
    for (name, kind) in names.chain(shared_owner) {
        if let Some(why) = unsayable(name, kind, isolation) {
            return Err(format!("`{name}` cannot be declared: {why}"));
        }
    }
    let Some(role) = cluster.roles.get(owner) else {
        return Err(format!(
            "its owner `{owner}` is a role of the server's own, or somebody's already: a service has an owner of its own"
        ));
    };
    if role.login {
        return Err(format!(
            "its owner `{owner}` may log in: a service is owned by a role that nobody logs in as, and that its migrator \
             becomes"
        ));
    }
    let databases: Vec<&str> = cluster
        .databases
        .values()
        .filter(|database| database.owner == owner && database.name != place.database.name)
        .map(|database| database.name.as_str())
        .collect();
    if let Some(other) = databases.first() {
        return Err(format!(
            "its owner `{owner}` owns the database `{other}` too: a service has an owner of its own"
        ));
    }
    let schemas = cluster.schemas.iter().filter(|schema| schema.owner == owner);
    let elsewhere: Option<&PgSchema> = schemas.into_iter().find(|schema| {
        schema.database != place.database.name || place.schema.is_some_and(|own| own.name != schema.name)
    });
    if let Some(schema) = elsewhere {
        let PgSchema { database, name, .. } = schema;
        return Err(format!(
            "its owner `{owner}` owns the schema `{name}` in `{database}` too: a service has an owner of its own"
        ));
    }
    Ok(common(place.name(), owner).unwrap_or_else(|| place.name().to_owned()))
}

fn shape(cluster: &Cluster, place: &Place<'_>, stem: &str, stems: &[String]) -> Shape {
    let owner = place.owner();
    let mut names = BTreeMap::from([("owner", owner.to_owned())]);
    let named = |role: &PgRole| {
        let longest = stems.iter().filter(|stem| has(&role.name, stem)).max_by_key(|stem| stem.len());
        longest.is_some_and(|longest| longest == stem)
    };
    let members = |of: &str| -> Vec<&PgRole> {
        let members = cluster.roles.values().filter(|role| role.login && role.member_of.contains_key(of));
        members.collect()
    };
    let migrator = choose(&members(owner), stem, &named, &MIGRATES).cloned();
    let (writers, readers) = groups(cluster, place, stem, &named);
    let used = |role: &&PgRole| migrator.as_ref().is_none_or(|migrator| migrator.name != role.name);
    let of_writers: Vec<&PgRole> =
        writers.map(|writers| members(&writers.name)).unwrap_or_default().into_iter().filter(used).collect();
    let app = choose(&of_writers, stem, &named, &WRITES);
    let of_readers: Vec<&PgRole> = readers.map(|readers| members(&readers.name)).unwrap_or_default();
    let of_readers: Vec<&PgRole> = of_readers
        .into_iter()
        .filter(used)
        .filter(|role| app.is_none_or(|app| app.name != role.name))
        .collect();
    let reader = choose(&of_readers, stem, &named, &READS);
    for (key, role) in [
        ("read_write", writers),
        ("read_only", readers),
        ("migrator", migrator.as_ref()),
        ("app", app),
        ("reader", reader),
    ] {
        names.extend(role.map(|role| (key, role.name.clone())));
    }
    if place.schema.is_some() {
        names.insert("schema", place.name().to_owned());
        names.insert("shared_database", place.database.name.clone());
        names.insert("shared_owner", place.database.owner.clone());
    } else {
        names.insert("database", place.name().to_owned());
        names.insert("schema", main_schema(cluster, place, stem));
    }
    let limits: BTreeSet<i32> =
        [app, reader].into_iter().flatten().map(|role| role.connection_limit).collect();
    Shape {
        cluster: cluster.name.clone(),
        service: stem.to_owned(),
        stem: stem.to_owned(),
        names,
        extensions: extensions(cluster, place),
        settings: settings(place),
        limit: limits.first().copied().filter(|_| limits.len() == 1),
        migrator_limit: migrator.map(|role| role.connection_limit),
    }
}

/// Of several that would do: the one that bears the service's name, and then the one whose name says what it is for.
fn choose<'a>(
    among: &[&'a PgRole],
    stem: &str,
    named: &dyn Fn(&PgRole) -> bool,
    words: &[&str],
) -> Option<&'a PgRole> {
    let of_service: Vec<&PgRole> = among.iter().copied().filter(|role| named(role)).collect();
    let plain = |role: &&&PgRole| {
        // Whoever is in other groups besides is a person, most likely.
        role.member_of.keys().filter(|of| *of != IAM).count() == 1
    };
    let by_word = of_service.iter().find(|role| says(&role.name, stem, words));
    let alone = (of_service.len() == 1).then(|| of_service.first()).flatten();
    let unnamed = || (among.len() == 1).then(|| among.first()).flatten().filter(plain);
    by_word.or(alone).or_else(unnamed).copied()
}

/// Who may write and who may read, by way of a group.
fn groups<'a>(
    cluster: &'a Cluster,
    place: &Place<'_>,
    stem: &str,
    named: &dyn Fn(&PgRole) -> bool,
) -> (Option<&'a PgRole>, Option<&'a PgRole>) {
    let owner = place.owner();
    let nobody = cluster.roles.values().filter(|role| !role.login && role.name != owner);
    let nobody: Vec<&PgRole> = nobody.collect();
    let grants = &place.database.grants;
    let connects =
        |role: &&&PgRole| grants.get(&role.name).is_some_and(|granted| granted.contains("CONNECT"));
    let granted: Vec<&PgRole> = nobody.iter().filter(connects).copied().collect();
    let by_name: Vec<&PgRole> = nobody.iter().copied().filter(|role| named(role)).collect();
    // In a shared database everybody's groups may connect.
    let pool: Vec<&PgRole> = match place.schema {
        None if granted.len() >= 2 => granted,
        _ => by_name,
    };
    let writes = |role: &&&PgRole| says(&role.name, stem, &WRITES);
    let reads = |role: &&&PgRole| says(&role.name, stem, &READS);
    let pairs: Vec<(&PgRole, &PgRole)> = pool
        .iter()
        .flat_map(|writer| pool.iter().map(move |reader| (*writer, *reader)))
        .filter(|(writer, reader)| writer.member_of.contains_key(&reader.name))
        .collect();
    let by_word = pairs.iter().find(|(writer, reader)| writes(&writer) && reads(&reader));
    if let Some((writer, reader)) = by_word.or_else(|| if pairs.len() == 1 { pairs.first() } else { None }) {
        return (Some(writer), Some(reader));
    }
    let may_make =
        |role: &&&PgRole| grants.get(&role.name).is_some_and(|granted| granted.contains("TEMPORARY"));
    let one =
        |found: Vec<&&'a PgRole>| if found.len() == 1 { found.first().map(|role| **role) } else { None };
    let writer = pool.iter().find(writes).copied().or_else(|| one(pool.iter().filter(may_make).collect()));
    let reader = pool.iter().find(reads).copied().or_else(|| {
        let others = pool.iter().filter(|role| writer.is_some_and(|writer| writer.name != role.name));
        one(others.collect())
    });
    (writer, reader.filter(|reader| writer.is_none_or(|writer| writer.name != reader.name)))
}

/// The schema that a service's things lie in: the one there is, or the one that says so; `public` where there is none.
fn main_schema(cluster: &Cluster, place: &Place<'_>, stem: &str) -> String {
    let own =
        |schema: &&PgSchema| schema.database == place.database.name && schema.owner == place.database.owner;
    let own: Vec<&str> = cluster.schemas.iter().filter(own).map(|schema| schema.name.as_str()).collect();
    let own: Vec<&str> =
        own.into_iter().filter(|name| unsayable(name, Kind::Schema, Isolation::Database).is_none()).collect();
    let likely = ["app", stem, place.name()].into_iter().find(|likely| own.contains(likely));
    likely.or_else(|| own.first().copied()).unwrap_or(EXTENSIONS).to_owned()
}

fn extensions(cluster: &Cluster, place: &Place<'_>) -> Vec<String> {
    let here = |extension: &&PgExtension| {
        extension.database == place.database.name
            && extension.schema == EXTENSIONS
            && extension.can_be_marked()
    };
    // Of a shared database nobody knows whose they are; each service that has them declared is as good as another.
    cluster.extensions.iter().filter(here).map(|extension| extension.name.clone()).collect()
}

fn settings(place: &Place<'_>) -> BTreeMap<String, Scalar> {
    if place.schema.is_some() {
        return BTreeMap::new();
    }
    // One that was set by an extension, with more dots or a long value, is told as a difference.
    let plain = |key: &str| {
        key.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let settings = place.database.settings.iter().filter(|(key, value)| {
        !OURS.contains(&key.as_str())
            && plain(key)
            && value.len() <= 1000
            && !value.chars().any(char::is_control)
    });
    settings.map(|(key, value)| (key.clone(), Scalar::Text(value.clone()))).collect()
}

/// Gives each a name of its own, in the letters that a name in the YAML has.
pub(super) fn tell_apart(shapes: &mut [Shape], environment: &Environment) {
    let mut taken: BTreeSet<String> = environment.services.keys().cloned().collect();
    taken.extend(environment.removed.services.keys().cloned());
    let reserved = [
        "postgres",
        "template0",
        "template1",
        "rdsadmin",
        "infra",
        "rds",
        "public",
        "information_schema",
        "shared",
    ];
    taken.extend(reserved.map(str::to_owned));
    for shape in shapes {
        let mut name = key(&shape.stem, "service");
        if taken.contains(&name) {
            name = key(&format!("{name}-{}", shape.cluster), "service");
        }
        let first = name.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{first}-{number}");
            number += 1;
        }
        taken.insert(name.clone());
        shape.service = name;
    }
}
