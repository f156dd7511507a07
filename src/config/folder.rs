//! Folders: which files an environment is made of, and their content as one tree.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use super::{
    merge,
    parse::parse,
    problem::{Invalid, Problems, did_you_mean, near},
    source::{Sources, Spot, quoted},
    tree::{Map, Node, Value},
};

/// The file that makes a folder an environment.
pub(crate) const ENVIRONMENT_FILE: &str = "environment.yaml";

/// Most bytes of one file: a thousand services need a fifth of it.
const FILE_BYTES: u64 = 1024 * 1024;
/// Most bytes of one line. People cannot read longer ones, and every problem shows its line.
const LINE_BYTES: usize = 10_000;

/// Everything an environment says, and whether all of it could be read.
pub(crate) struct Read {
    pub(crate) root: Node,
    /// Nothing is missing because a file could not be read or understood.
    pub(crate) whole: bool,
    /// Where to point when something is missing at the top: the start of `environment.yaml`.
    pub(crate) start: Spot,
}

/// The environments that exist below a folder, sorted.
pub(crate) fn list(environments: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(environments).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join(ENVIRONMENT_FILE).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// The folder of an environment, or why there is none.
pub(crate) fn find(environments: &Path, name: &str) -> Result<PathBuf, Invalid> {
    let names = list(environments);
    let shown = shown(environments);
    if names.iter().any(|other| other == name) {
        return Ok(environments.join(name));
    }
    if names.is_empty() {
        return Err(Invalid::one(
            format!("there is no environment in `{shown}`"),
            Some(format!(
                "an environment is a folder with an `{ENVIRONMENT_FILE}`; `-C` names another project"
            )),
        ));
    }
    let folder = !name.is_empty() && !name.contains(['/', '\\']) && environments.join(name).is_dir();
    let (summary, mend) = if folder && name != "." && name != ".." {
        (
            format!("`{shown}/{name}` has no `{ENVIRONMENT_FILE}`, so it is no environment"),
            did_you_mean(None, &names)
                .map(|names| format!("{names}; other environments may extend this folder")),
        )
    } else {
        (format!("there is no environment {}", quoted(name)), did_you_mean(near(name, &names), &names))
    };
    Err(Invalid::one(summary, mend))
}

/// Reads a folder and all it extends, and lays them over each other.
pub(crate) fn read(folder: &Path, sources: &mut Sources, problems: &mut Problems) -> Read {
    let mut layers: Vec<Node> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut whole = true;
    let mut next = Some(normal(folder));
    let mut start = Spot { file: 0, start: 0, end: 0 };
    while let Some(folder) = next.take() {
        seen.push(std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone()));
        let (layer, layer_whole) = one_folder(&folder, sources, problems);
        whole &= layer_whole;
        if layers.is_empty() {
            start.file = sources.number(&shown(&folder.join(ENVIRONMENT_FILE))).unwrap_or(0);
        }
        if let Some(entry) = layer.entry(&["extends"])
            && let Value::Text(path) = &entry.node.value
        {
            match extended(&folder, path, &seen) {
                Ok(further) => next = Some(further),
                Err((summary, mend)) => {
                    whole = false;
                    problems.add(entry.node.spot, summary).mend(mend);
                }
            }
        }
        layers.push(layer);
    }
    let mut root = layers.pop().unwrap_or(Node { spot: start, value: Value::Map(Map::new()) });
    while let Some(over) = layers.pop() {
        if let Value::Map(map) = &mut root.value {
            map.remove("extends");
        }
        root = merge::overlay(root, over, problems);
    }
    Read { root, whole, start }
}

/// The folder that `extends: path` names, or what is wrong with it and how to mend it.
fn extended(folder: &Path, path: &str, seen: &[PathBuf]) -> Result<PathBuf, (String, String)> {
    let sibling = "name a folder relative to this one, such as `../base`".to_owned();
    if Path::new(path).is_absolute() || path.is_empty() {
        return Err((format!("{} is not a relative path", quoted(path)), sibling));
    }
    let further = normal(&folder.join(path));
    let Ok(real) = std::fs::canonicalize(&further) else {
        return Err((format!("the folder {} does not exist", quoted(&shown(&further))), sibling));
    };
    if !real.is_dir() {
        return Err((format!("{} is not a folder", quoted(path)), sibling));
    }
    if seen.contains(&real) {
        return Err((
            format!("{} is extended in a circle", quoted(&shown(&further))),
            "leave out one `extends`".into(),
        ));
    }
    Ok(further)
}

/// All `*.yaml` of one folder as one tree.
fn one_folder(folder: &Path, sources: &mut Sources, problems: &mut Problems) -> (Node, bool) {
    let nowhere = Spot { file: 0, start: 0, end: 0 };
    let mut root = Node { spot: nowhere, value: Value::Map(Map::new()) };
    let mut whole = true;
    let mut files: Vec<PathBuf> = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
        Err(error) => {
            whole = false;
            problems.add(None, format!("cannot read the folder `{}`: {error}", shown(folder)));
        }
    }
    files.sort_unstable();
    for path in files {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yml") if !hidden => {
                whole = false;
                problems
                    .add(None, format!("`{}` is not read, because its name ends with `.yml`", shown(&path)))
                    .mend(format!("rename it to `{}`", shown(&path.with_extension("yaml"))));
            }
            Some("yaml") if !hidden => {
                let Some(file) = one_file(&path, sources, problems) else {
                    whole = false;
                    continue;
                };
                match parse(file, sources, problems) {
                    Ok(tree) => merge::join(&mut root, tree, problems),
                    Err(_) => whole = false,
                }
            }
            _ => {}
        }
    }
    (root, whole)
}

/// Reads one file; the answer is its number among the sources.
fn one_file(path: &Path, sources: &mut Sources, problems: &mut Problems) -> Option<u32> {
    let shown = shown(path);
    let mut refuse = |summary: String, mend: &str| {
        problems.add(None, summary).mend(mend);
        None
    };
    // Asked first, because opening a pipe would wait for somebody to write into it.
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return refuse(format!("`{shown}` is not a file"), "move it out of the folder, or rename it");
        }
        Ok(metadata) if metadata.len() > FILE_BYTES => {
            return refuse(
                format!("`{shown}` has {} bytes; a file may have {FILE_BYTES}", metadata.len()),
                "split it: all *.yaml of the folder are read as one",
            );
        }
        Ok(_) => {}
        Err(error) => return refuse(format!("cannot read `{shown}`: {error}"), "check its permissions"),
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return refuse(format!("cannot read `{shown}`: {error}"), "check its permissions");
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return refuse(
            format!("`{shown}` is not a text: byte {at} is zero"),
            "write YAML in UTF-8, or rename the file so that it does not end with `.yaml`",
        );
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
            let file = sources.add(shown, String::from_utf8_lossy(error.as_bytes()).into_owned());
            problems
                .add(Spot { file, start: at, end: at }, "this is not UTF-8")
                .mend("save the file in the encoding UTF-8");
            return None;
        }
    };
    let long = text.lines().enumerate().find(|(_, line)| line.len() > LINE_BYTES);
    if let Some((index, line)) = long {
        let (number, length) = (index + 1, line.len());
        return refuse(
            format!("line {number} of `{shown}` has {length} bytes; a line may have {LINE_BYTES}"),
            "write lists and maps over several lines",
        );
    }
    Some(sources.add(shown, text))
}

/// A path as a person would type it: relative, when it lies below the folder they are in.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// `environments/prod/../base` as `environments/base`, without asking the file system: it is for showing.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
