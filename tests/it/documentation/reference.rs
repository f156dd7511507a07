//! `docs/reference.md`, made of the types that are read and of the command line that is parsed. `BLESS=1` writes it anew.

mod commands;
mod keys;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use infra::{cli::Cli, commands::Exit, model::environment::Environment};

use super::ROOT;

/// Variables that no flag has. What `src` reads must stand here: `every_variable_is_told`.
const VARIABLES: &[(&str, &str)] = &[
    (
        "INFRA_COMPLETE",
        "set by the scripts of `infra completion`: the shell that asks what a line may go on with",
    ),
    (
        "INFRA_CLI_ARGS",
        "more arguments for every command; `INFRA_CLI_ARGS_plan`, `INFRA_CLI_ARGS_backup_run`: for this one",
    ),
    ("INFRA_IN_AUTOMATION", "no hints on what to type next; so too where `CI` is set"),
    ("INFRA_LEASE_SECONDS", "how long a lease counts without a sign of life of its holder; default 90"),
    ("INFRA_MASK", "regular expressions, one a line: what they match is shown as `***`"),
    ("INFRA_MONGO_URI", "connection string for `infra snapshot`, where none is given otherwise"),
    ("INFRA_POLL_MILLISECONDS", "how often AWS is asked while something is waited for; default 10000"),
    ("NO_COLOR", "set and not empty: never colour"),
    ("CLICOLOR_FORCE", "set, not empty and not `0`: colour even into a pipe"),
    ("TERM", "`dumb`: no colour"),
    ("PATH", "where the programs of Postgres and the snapshot command are looked for"),
    ("XDG_STATE_HOME", "where this machine remembers what it has locked; without it `~/.local/state`"),
    ("CI", "set, and neither `0` nor `false`: no hints on what to type next"),
    ("AWS_*", "as the AWS SDKs have them: `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ..."),
    ("HTTPS_PROXY", "and `HTTP_PROXY`, `NO_PROXY`: the way to AWS, GitHub and GitLab"),
];

/// What a snapshot command is given.
const OF_COMMANDS: &[(&str, &str)] = &[
    ("INFRA_RUN_ID", "the id of the run, as in the manifest"),
    ("INFRA_MONGO_HOST", "the member, `host:port`"),
    ("INFRA_MONGO_SET", "the name of the replica set"),
    ("INFRA_MONGO_OPTIME", "the operation up to which the snapshot goes"),
    ("INFRA_VM_HOST", "the machine to snapshot"),
];

/// What CI sets, by the beginning of the name.
const OF_CI: &[(&str, &str)] = &[
    ("GITHUB_", "GitHub Actions: repository, commit, pull request, run, `GITHUB_TOKEN` (or `GH_TOKEN`)"),
    ("GH_", "`GH_TOKEN`, where there is no `GITHUB_TOKEN`"),
    ("GITLAB_", "GitLab: `GITLAB_TOKEN` with the scope `api`; who runs the job"),
    ("CI_", "GitLab CI: project, merge request, commit, job"),
];

/// A cell of a table. In code nothing but the bar means anything.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let parts = text.split('`').enumerate();
    let parts =
        parts.map(|(place, part)| if place % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn exit_codes() -> String {
    let mut out = String::from(
        "## Exit codes\nScripts rest on them: none ever changes its meaning.\n\n| code | |\n|---|---|\n",
    );
    let mut codes: Vec<Exit> = Exit::ALL.to_vec();
    codes.sort_by_key(|exit| exit.code());
    for exit in codes {
        writeln!(out, "| {} | {} |", exit.code(), cell(exit.meaning())).unwrap();
    }
    out
}

/// Every variable that a flag can have instead, and the flag.
fn of_flags(command: &Command, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for argument in command.get_arguments() {
        if let Some(variable) = argument.get_env() {
            let flag = argument.get_long().unwrap_or_default();
            found.entry(variable.to_str().unwrap().to_owned()).or_default().insert(format!("`--{flag}`"));
        }
    }
    command.get_subcommands().for_each(|command| of_flags(command, found));
}

fn variables(root: &Command) -> String {
    let mut found = BTreeMap::new();
    of_flags(root, &mut found);
    let mut out = String::from("## Variables\nA flag counts more than its variable.\n\n| | |\n|---|---|\n");
    for (name, flags) in found {
        writeln!(out, "| `{name}` | {} |", Vec::from_iter(flags).join(", ")).unwrap();
    }
    for (name, meaning) in VARIABLES {
        writeln!(out, "| `{name}` | {} |", cell(meaning)).unwrap();
    }
    for (name, meaning) in OF_CI.iter().filter(|(name, _)| *name != "GH_") {
        writeln!(out, "| `{name}*` | {} |", cell(meaning)).unwrap();
    }
    out.push_str(
        "\nA snapshot command is given, besides the environment of `infra` itself:\n\n| | |\n|---|---|\n",
    );
    for (name, meaning) in OF_COMMANDS {
        writeln!(out, "| `{name}` | {} |", cell(meaning)).unwrap();
    }
    out
}

/// The whole page.
fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let head = "# Reference\nEvery exit code, variable, command, flag and key. Made from the program itself by a test, which fails when this page is stale:\n`BLESS=1 cargo test --test it documentation` writes it anew.\n";
    [head.to_owned(), exit_codes(), variables(&root), commands::commands(&root), keys::keys()].join("\n")
}

#[test]
fn the_reference_is_fresh() {
    let file = Path::new(ROOT).join("docs/reference.md");
    let fresh = page();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &fresh).unwrap();
    }
    let stored = fs::read_to_string(&file).unwrap_or_default();
    let differs = stored.lines().zip(fresh.lines()).find(|(stored, fresh)| stored != fresh);
    assert!(
        stored == fresh,
        "docs/reference.md is stale: BLESS=1 writes it anew, then read the difference: {differs:?}"
    );
}

/// Nothing is left out of the reference, whatever shape it has.
#[test]
fn the_reference_is_whole() {
    let page = page();
    let mut root = Cli::command();
    root.build();
    let mut wanted = Vec::new();
    commands::flags(&root, &mut wanted);
    wanted.retain(|flag| !["`--help", "`--version"].contains(&flag.as_str()));
    let mut of_yaml = Vec::new();
    keys::names(&schemars::schema_for!(Environment).to_value(), &mut of_yaml);
    let silent: Vec<&str> = page.lines().filter(|line| line.ends_with("|  |")).collect();
    assert!(silent.is_empty(), "these say nothing of themselves: {silent:?}");
    let missing: Vec<&String> = wanted.iter().filter(|flag| !page.contains(flag.as_str())).collect();
    assert!(missing.is_empty() && wanted.len() > 50, "{missing:?}");
    let told = |key: &&String| {
        [format!("| `{key}` |"), format!(".{key}\n"), format!(".{key}."), format!("`{{{key}: ...}}`")]
            .iter()
            .any(|form| page.contains(form))
    };
    let missing: Vec<&String> = of_yaml.iter().filter(|key| !told(key)).collect();
    assert!(missing.is_empty() && of_yaml.len() > 80, "{missing:?}");
    let codes: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    assert_eq!(codes.len(), Exit::ALL.len());
}

/// What the program reads is what the reference names.
#[test]
fn every_variable_is_told() {
    let page = page();
    let literal =
        regex::Regex::new(r#""((?:INFRA|GITHUB|GITLAB|GH|CI)_[A-Z_]+|NO_COLOR|CLICOLOR_FORCE|XDG_[A-Z_]+)""#)
            .unwrap();
    let mut folders = vec![Path::new(ROOT).join("src")];
    let mut missing: Vec<(String, PathBuf)> = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for name in literal.captures_iter(&text).map(|found| found[1].to_owned()) {
                let of_ci = OF_CI.iter().any(|(begins, _)| name.starts_with(begins));
                if !of_ci && !page.contains(&format!("| `{name}` |")) {
                    missing.push((name, path.clone()));
                }
            }
        }
    }
    assert!(
        missing.is_empty(),
        "tests/it/documentation/reference.rs does not name these variables: {missing:?}"
    );
}
