//! Names as words, and what those words say.

/// Words that say of a group or a login what it is for; they decide only between those that are alike otherwise.
pub(super) const WRITES: [&str; 12] = [
    "rw",
    "readwrite",
    "read_write",
    "write",
    "writer",
    "writers",
    "writing",
    "editor",
    "editors",
    "edit",
    "dml",
    "app",
];
pub(super) const READS: [&str; 11] = [
    "ro",
    "readonly",
    "read_only",
    "read",
    "reader",
    "readers",
    "reading",
    "viewer",
    "viewers",
    "view",
    "select",
];
pub(super) const MIGRATES: [&str; 6] = ["migrator", "migrate", "migrations", "migration", "ddl", "deploy"];

/// A name as the YAML may have it.
pub(super) fn key(text: &str, otherwise: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = text.chars().map(fits).take(30).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-').to_owned();
    let reserved = name.starts_with("pg_") || name.contains("__retired_");
    if name.is_empty() || reserved { otherwise.to_owned() } else { name }
}

fn is_between(c: char) -> bool {
    "_-.$@".contains(c)
}

/// Whether words of a name, one after the other, are these.
pub(super) fn has(name: &str, stem: &str) -> bool {
    find(name, stem).is_some()
}

/// Where in a name these words begin.
pub(super) fn find(name: &str, stem: &str) -> Option<usize> {
    let mut matches = name.match_indices(stem).map(|(at, _)| at).filter(|_| !stem.is_empty());
    matches.find(|at| {
        let before = name[..*at].chars().next_back();
        let after = name[at + stem.len()..].chars().next();
        before.is_none_or(is_between) && after.is_none_or(is_between)
    })
}

/// The longest run of words of one name that is in the other as well.
pub(super) fn common(name: &str, other: &str) -> Option<String> {
    let mut starts: Vec<usize> = vec![0];
    starts.extend(name.char_indices().filter(|(_, c)| is_between(*c)).map(|(at, c)| at + c.len_utf8()));
    let ends: Vec<usize> = name.char_indices().filter(|(_, c)| is_between(*c)).map(|(at, _)| at).collect();
    let ends = ends.into_iter().chain([name.len()]);
    let runs =
        ends.flat_map(|end| starts.iter().filter(move |start| **start < end).map(move |start| (*start, end)));
    let mut runs: Vec<&str> = runs.filter_map(|(start, end)| name.get(start..end)).collect();
    runs.sort_by_key(|run| (std::cmp::Reverse(run.len()), run.to_owned()));
    runs.into_iter().find(|run| has(other, run)).map(str::to_owned)
}

/// Whether what a name has beside the service's says this.
pub(super) fn says(name: &str, stem: &str, words: &[&str]) -> bool {
    let rest = name.to_ascii_lowercase().replacen(&stem.to_ascii_lowercase(), "", 1);
    let rest = rest.trim_matches(is_between).replace(is_between, "_");
    words.iter().any(|word| {
        rest == *word || rest.ends_with(&format!("_{word}")) || rest.starts_with(&format!("{word}_"))
    })
}
