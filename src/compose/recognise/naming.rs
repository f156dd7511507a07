//! Which templates make the names that were found.

use std::collections::BTreeMap;

use super::{people::Found, shape::Shape, words::find};
use crate::model::{
    environment::{ConnectionLimit, ConnectionLimits, Environment, Isolation},
    names::{GROUP, NameTemplates, Names, OF_SERVICE, PERSON, SERVICE, ServiceNames},
};

/// What names have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Convention {
    pub(super) templates: NameTemplates,
    /// What stands before and behind a person's and a group's name.
    pub(super) person: (String, String),
    pub(super) group: (String, String),
}

const USUAL: [(&str, &str); 6] = [
    ("owner", "svc_{service}_owner"),
    ("read_write", "svc_{service}_rw"),
    ("read_only", "svc_{service}_ro"),
    ("migrator", "svc_{service}_migrator"),
    ("app", "svc_{service}_app"),
    ("reader", "svc_{service}_reader"),
];

/// The templates of most services. Where something is declared already, its names stand, and others are told one by one.
pub(super) fn convention(
    environment: &Environment,
    isolation: Isolation,
    shapes: &[Shape],
    people: &Found,
) -> Convention {
    let fixed = !environment.names.is_default()
        || !environment.services.is_empty()
        || !environment.removed.services.is_empty()
        || !environment.people.is_empty()
        || !environment.developer_groups.is_empty();
    if fixed {
        let parts = |template: Option<&str>, usual: &str, hole: &str| {
            let (before, behind) = template.unwrap_or(usual).split_once(hole).unwrap_or_default();
            (before.to_owned(), behind.to_owned())
        };
        return Convention {
            templates: NameTemplates::default(),
            person: parts(environment.names.person.as_deref(), "dev_{person}", PERSON),
            group: parts(environment.names.group.as_deref(), "dev_{group}", GROUP),
        };
    }
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for key in OF_SERVICE {
        let in_own = key == "schema" && isolation == Isolation::Database;
        let templates = shapes.iter().filter_map(|shape| template(shape, shape.name(key)?, in_own));
        if let Some(template) = most(templates) {
            found.insert(key, template);
        }
    }
    // Names of what is still to be made follow those of what is there.
    if let Some(owner) = found.get("owner").filter(|owner| owner.contains("owner")).cloned() {
        for (key, usual) in USUAL {
            let word = usual.rsplit('_').next().unwrap_or_default();
            found.entry(key).or_insert_with(|| owner.replacen("owner", word, 1));
        }
    }
    for (key, usual) in USUAL.into_iter().chain([("database", SERVICE)]) {
        if found.get(key).is_some_and(|template| template == usual) {
            found.remove(key);
        }
    }
    let usual_schema = if isolation == Isolation::Database { "app" } else { SERVICE };
    if found.get("schema").is_some_and(|template| template == usual_schema) {
        found.remove("schema");
    }
    let mut take = |key: &str| found.remove(key);
    let first = |key: &str, usual: &str| {
        shapes.iter().find_map(|shape| shape.name(key)).filter(|name| *name != usual).cloned()
    };
    let mut templates = NameTemplates {
        owner: take("owner"),
        read_write: take("read_write"),
        read_only: take("read_only"),
        migrator: take("migrator"),
        app: take("app"),
        reader: take("reader"),
        database: take("database"),
        schema: take("schema"),
        shared_database: first("shared_database", crate::model::names::SHARED),
        shared_owner: None,
        group: None,
        person: None,
    };
    let usual_owner = templates.owner.as_deref().unwrap_or("svc_{service}_owner");
    let usual_owner = usual_owner.replace(SERVICE, crate::model::names::SHARED);
    templates.shared_owner = first("shared_owner", &usual_owner);
    let (person, group) = people.affixes();
    let whole = |(before, behind): &(String, String), hole: &str, usual: &str| {
        let template = format!("{before}{hole}{behind}");
        (template != usual).then_some(template)
    };
    if people.any_person() {
        templates.person = whole(&person, PERSON, "dev_{person}");
    }
    if people.any_group() {
        templates.group = whole(&group, GROUP, "dev_{group}");
    }
    Convention { templates, person, group }
}

/// A name with what stands for the service in it; a schema of its own database may be the same for all.
fn template(shape: &Shape, name: &str, may_be_fixed: bool) -> Option<String> {
    // Only what comes out again as it was.
    let at = find(name, &shape.stem);
    let template = at.map(|at| format!("{}{SERVICE}{}", &name[..at], &name[at + shape.stem.len()..]));
    let whole = template.filter(|template| template.replace(SERVICE, &shape.service) == name);
    whole.or_else(|| may_be_fixed.then(|| name.to_owned()))
}

/// What is there most often; of those that are equally frequent the first.
fn most<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    let highest = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == highest).map(|(one, _)| one)
}

/// Names of a service that the environment's templates do not make.
pub(super) fn own_names(shape: &Shape, shapes: &[Shape], names: &Names) -> Option<ServiceNames> {
    let roles = names.roles(&shape.service);
    let made: BTreeMap<&str, String> = [
        ("owner", roles.owner),
        ("read_write", roles.writers),
        ("read_only", roles.readers),
        ("migrator", roles.migrator),
        ("app", roles.app),
        ("reader", roles.reader),
        ("database", names.database(&shape.service)),
        ("schema", names.schema(&shape.service)),
    ]
    .into();
    // What is still to be made must not take the name of what somebody else has.
    let used = |name: &String| shapes.iter().any(|shape| shape.names.values().any(|other| other == name));
    let aside = |key: &str| {
        let (_, usual) = USUAL.into_iter().find(|(usual, _)| *usual == key)?;
        made.get(key).filter(|name| used(name)).map(|_| usual.replace(SERVICE, &shape.service))
    };
    let differs = |key: &str| match shape.name(key) {
        Some(name) => (made.get(key) != Some(name)).then(|| name.clone()),
        None => aside(key),
    };
    let own = ServiceNames {
        owner: differs("owner"),
        read_write: differs("read_write"),
        read_only: differs("read_only"),
        migrator: differs("migrator"),
        app: differs("app"),
        reader: differs("reader"),
        database: differs("database"),
        schema: differs("schema"),
    };
    (own != ServiceNames::default()).then_some(own)
}

/// What most have; only of what can be declared.
pub(super) fn limits(environment: &Environment, shapes: &[Shape], people: &Found) -> ConnectionLimits {
    let declared = environment.connection_limits;
    if !declared.is_default() || !environment.services.is_empty() || !environment.people.is_empty() {
        return declared;
    }
    let usual = |found: Option<i32>, usual: i32| {
        found.filter(|number| *number != usual).and_then(ConnectionLimit::of)
    };
    ConnectionLimits {
        service: usual(
            most(shapes.iter().filter_map(|shape| shape.limit)),
            super::super::service::CONNECTIONS,
        ),
        migrator: usual(
            most(shapes.iter().filter_map(|shape| shape.migrator_limit)),
            super::super::service::MIGRATOR_CONNECTIONS,
        ),
        person: usual(most(people.limits()), super::super::people::CONNECTIONS),
    }
}
