//! YAML to [`Environment`], with all problems at once, each with its place and its mend.
//!
//! ```text
//! files  --parse-->  trees that know where everything is written
//! trees  --merge-->  one tree: the files of a folder beside each other, the folder over what it extends
//! tree   --structure-->  the part that fits the types; the rest is said, and taken out
//! part   --serde-->  Environment  --check-->  what types cannot say: names, limits, `protect`
//! ```
//!
//! Nothing here prints, and nothing but files is read.

mod check;
mod document;
mod folder;
mod format;
mod merge;
mod parse;
mod problem;
mod shape;
mod source;
mod structure;
mod tree;
mod wording;

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

pub(crate) use self::problem::{did_you_mean, near};
pub use self::{
    check::{limits, naming},
    document::Document,
    format::{NotFormatted, format},
    problem::{Invalid, Problem},
    source::Place,
};
use self::{
    problem::Problems,
    source::Sources,
    tree::{Node, Value},
};
use crate::model::environment::Environment;

/// An environment that is sound, and where each of its values comes from.
#[derive(Debug)]
pub struct Loaded {
    pub environment: Environment,
    pub document: Document,
}

/// Reads the environment `name` out of the folder that holds the environment folders.
pub fn load(environments: &Path, name: &str) -> Result<Loaded, Invalid> {
    let folder = folder::find(environments, name)?;
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let read = folder::read(&folder, &mut sources, &mut problems);
    let names = check::Names::of(&read.root);
    let (root, unfit) =
        structure::check(read.root, &shape::ENVIRONMENT, read.whole, read.start, &sources, &mut problems);
    let (environment, platform_known) = match typed(&root) {
        Ok(typed) => typed,
        Err(error) => {
            // The structure is checked against these very types, so this is a gap between the two; better said than hidden.
            problems.add(None, format!("the environment cannot be read: {error}"));
            return Err(problems.into_invalid(&sources));
        }
    };
    // What a file that could not be understood declares is unknown, so nothing can be said to be missing or too many.
    if read.whole {
        let facts = check::Facts {
            name,
            environment: &environment,
            root: &root,
            start: read.start,
            unfit: &unfit,
            names,
            platform_known,
        };
        check::all(&facts, &mut problems);
    }
    if problems.is_empty() {
        Ok(Loaded { environment, document: Document::new(root, sources) })
    } else {
        Err(problems.into_invalid(&sources))
    }
}

/// The environment of a tree that fits, and whether it says which platform it is on.
fn typed(root: &Node) -> Result<(Environment, bool), serde_json::Error> {
    let mut value = root.to_json();
    let platform_known = value.get("platform").is_some();
    if let Value::Map(_) = root.value
        && !platform_known
    {
        value["platform"] = json!({"local": {}});
    }
    Ok((Environment::deserialize(value)?, platform_known))
}

/// The environments below a folder: the folders with an `environment.yaml`, sorted.
pub fn list(environments: &Path) -> Vec<String> {
    folder::list(environments)
}

/// The JSON Schema of an environment's files, for editors.
///
/// A file holds a part of an environment, and may lie over others: so nothing is required in it, and `null`, which removes, may
/// stand for everything that has a name. Whether the whole is complete, only `load` can say.
pub fn schema() -> serde_json::Value {
    let mut schema = schema_of_types();
    schema["title"] = json!("A file of an environment of infra");
    partial(&mut schema);
    schema
}

/// What the types demand of the whole.
fn schema_of_types() -> serde_json::Value {
    schemars::schema_for!(Environment).to_value()
}

fn partial(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(object) => {
            // Where exactly one key is required, that key is what tells the variants of an enum from each other.
            if object.get("properties").and_then(|keys| keys.as_object()).is_some_and(|keys| keys.len() > 1) {
                object.remove("required");
            }
            if let Some(named) = object.get_mut("additionalProperties").filter(|named| named.is_object()) {
                *named = json!({"anyOf": [named.take(), {"type": "null"}]});
            }
            object.values_mut().for_each(partial);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(partial),
        _ => {}
    }
}
