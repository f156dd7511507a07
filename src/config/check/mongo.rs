//! Connection strings of replica sets that are written out: the others are only known when they are used.

use super::Facts;
use crate::{
    config::problem::Problems,
    model::{environment::MachineValue, mongo_uri::MongoUri},
};

const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    for (name, cluster) in &facts.environment.mongo_clusters {
        let MachineValue::Plain(text) = &cluster.uri else { continue };
        // Anything else is said already.
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            continue;
        }
        let path = ["mongo_clusters", name, "uri"];
        let shown = path.join(".");
        match MongoUri::parse(text) {
            Ok(pasted) if pasted.uri.password.is_some() => {
                problems
                    .add(facts.at(&path), format!("`{shown}` has a password in it"))
                    .mend("take the whole value from a variable or a file: `{env: NAME}` or `{file: PATH}`");
            }
            Ok(_) => {}
            Err(bad) => {
                problems.add(facts.at(&path), format!("`{shown}`: {}", bad.message)).mend_if(bad.hint);
            }
        }
    }
}
