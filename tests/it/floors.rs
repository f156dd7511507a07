//! Who may import whom. A module may use the floors below its own, never one above or beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lowest floor first, as in `ARCHITECTURE.md`.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["config"],
    &["engine", "providers"],
    &["snapshot"],
    &["resources"],
    &["compose", "report"],
    &["ui"],
    &["cli", "commands", "lib", "main"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { sources(&entry, found) } else { found.push(entry) }
    }
}

/// The top-level modules that a source names behind `crate::`, be it alone or in a group.
fn imports(source: &str) -> Vec<String> {
    let word =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        // `pub(crate)::` does not exist, but a word that ends in `crate` would.
        if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &source[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    names.push(word(&group[start..index]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(word(&group[start..index]));
                    start = index + 1;
                }
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What a set of sources, each with its path below `src`, imports against the rule.
fn wrong<'a>(sources: impl Iterator<Item = (&'a Path, String)>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        let Some(mine) = floor(module) else {
            wrong.push(format!("{}: `{module}` stands on no floor", path.display()));
            continue;
        };
        for name in imports(&text) {
            // Behind `crate::` a macro or a type of the root may stand; there are none, and there shall be none.
            if name != module
                && floor(&name).is_none_or(|theirs| theirs >= mine)
                && !(module == "commands" && name == "cli")
            {
                wrong.push(format!("{}: `{module}` may not import `{name}`", path.display()));
            }
        }
    }
    wrong
}

fn all() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let rust = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|file| (file.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(file).unwrap()))
        .collect()
}

#[test]
fn every_import_goes_down() {
    let all = all();
    assert!(all.len() > 50, "only {} sources were found", all.len());
    let wrong = wrong(all.iter().map(|(path, text)| (path.as_path(), text.clone())));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_forbidden_import_is_named() {
    let text = "use crate::{\n    model::Address,\n    resources::{Any, Live},\n};\n";
    let found = wrong([(Path::new("engine/plan.rs"), text.to_owned())].into_iter());
    assert_eq!(found, ["engine/plan.rs: `engine` may not import `resources`"]);
    assert_eq!(wrong([(Path::new("report/x.rs"), "crate::ui::err".to_owned())].into_iter()).len(), 1);
    assert_eq!(wrong([(Path::new("attic/x.rs"), String::new())].into_iter()).len(), 1);
}

/// Only `ui` speaks: everything else hands over texts. The guardian of a snapshot speaks to nobody: its standard output is the
/// pipe by which it lets the snapshot command begin.
#[test]
fn nothing_but_ui_prints() {
    let speaking = ["io::stdout", "io::stderr", "println!", "print!", "eprintln!", "eprint!"];
    let offenders: Vec<_> = (all().into_iter())
        .filter(|(path, _)| !path.starts_with("ui") && !path.starts_with("snapshot/guardian"))
        .filter(|(_, text)| speaking.iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}
