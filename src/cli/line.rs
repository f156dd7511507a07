//! From what was typed, and what the environment adds to it, to what clap reads.

use std::{collections::BTreeSet, ffi::OsString};

use clap::{Command, CommandFactory as _, error::ErrorKind};

use super::Cli;
use crate::snapshot::words;

/// Arguments for every command; with `_` and the command's name, for this one (`TF_CLI_ARGS` and `TF_CLI_ARGS_plan`).
const VARIABLE: &str = "INFRA_CLI_ARGS";

/// The line with the arguments of `INFRA_CLI_ARGS` behind the command's name, so that what was typed comes later and counts.
///
/// # Errors
/// When a quote in one of them is not closed.
pub(super) fn complete(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<OsString>, clap::Error> {
    let mut line: Vec<OsString> = arguments.into_iter().collect();
    let mut root = Cli::command();
    root.build();
    let Some((place, path)) = command(&root, &line) else { return Ok(normalise(line)) };
    // What we start ourselves is not what anybody types.
    if path.starts_with("__") {
        return Ok(normalise(line));
    }
    let mut added = Vec::new();
    for name in [VARIABLE.to_owned(), format!("{VARIABLE}_{path}")] {
        let text = variable(&name).unwrap_or_default();
        let Some(words) = words(&text) else {
            return Err(
                root.error(ErrorKind::InvalidValue, format!("{name} has a quote that is not closed: {text}"))
            );
        };
        added.extend(words.into_iter().map(OsString::from));
    }
    line.splice(place..place, added);
    Ok(normalise(line))
}

/// Where the arguments of the command begin, and its name: `plan`, `backup_run`.
fn command(root: &Command, line: &[OsString]) -> Option<(usize, String)> {
    let (mut command, mut path, mut place) = (root, Vec::new(), None);
    let mut skip = false;
    for (at, argument) in line.iter().enumerate().skip(1) {
        let text = argument.to_str().unwrap_or_default();
        if std::mem::take(&mut skip) {
            continue;
        }
        if text == "--" {
            break;
        }
        if text.starts_with('-') {
            skip = takes_the_next(command, text);
            continue;
        }
        let Some(next) = command.find_subcommand(text) else { break };
        command = next;
        path.push(next.get_name());
        place = Some(at + 1);
    }
    place.map(|place| (place, path.join("_")))
}

/// Whether the word behind this flag is its value.
fn takes_the_next(command: &Command, flag: &str) -> bool {
    if flag.contains('=') {
        return false;
    }
    let name = flag.trim_start_matches('-');
    let long = |argument: &&clap::Arg| argument.get_long() == Some(name);
    // Of short flags in one word, only the last can have its value in the next.
    let letters = !flag.starts_with("--");
    let short = |argument: &&clap::Arg| {
        letters && argument.get_short().is_some_and(|short| name == short.to_string())
    };
    let found = command.get_arguments().find(|argument| long(argument) || short(argument));
    found.is_some_and(|argument| argument.get_action().takes_values())
}

/// Turns `-name` and `-name=value` into `--name` where a long flag has that name. Left alone, clap would read
/// `-exclude=x` as `-e xclude=x`: another environment.
fn normalise(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let longs = long_flags();
    let mut literal = false;
    let one = |argument: OsString| {
        let Some(text) = argument.to_str() else { return argument };
        literal |= text == "--";
        let name = text.strip_prefix('-').filter(|rest| !rest.starts_with('-') && rest.len() > 1);
        let known = name.and_then(|name| name.split('=').next()).is_some_and(|name| longs.contains(name));
        if known && !literal { format!("-{text}").into() } else { argument }
    };
    arguments.into_iter().map(one).collect()
}

fn long_flags() -> BTreeSet<String> {
    let command = Cli::command();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let flags = all.flat_map(|command| command.get_arguments().filter_map(|argument| argument.get_long()));
    flags.chain(["help", "version"]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(typed: &str, variables: &[(&str, &str)]) -> String {
        let typed = typed.split(' ').map(OsString::from);
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let line = complete(typed, variable).unwrap();
        line.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn terraform_fingers() {
        for (typed, meant) in [
            (
                "infra plan -env=test -detailed-exitcode -out=p",
                "infra plan --env=test --detailed-exitcode --out=p",
            ),
            ("infra apply -auto-approve -e test", "infra apply --auto-approve -e test"),
            ("infra plan -exclude=a.b -target c.d", "infra plan --exclude=a.b --target c.d"),
            ("infra plan -o p -C d -v -vv", "infra plan -o p -C d -v -vv"),
            ("infra -help", "infra --help"),
            ("infra -chdir=x plan", "infra --chdir=x plan"),
            ("infra apply -- -out", "infra apply -- -out"),
        ] {
            assert_eq!(with(typed, &[]), meant);
        }
    }

    #[test]
    fn what_the_environment_adds() {
        let variables = [
            ("INFRA_CLI_ARGS", "-no-color"),
            ("INFRA_CLI_ARGS_plan", "--out 'my plan'"),
            ("INFRA_CLI_ARGS_backup_run", "--force"),
            ("INFRA_CLI_ARGS___guard", "--bogus"),
        ];
        for (typed, meant) in [
            ("infra plan -e test", "infra plan --no-color --out my plan -e test"),
            ("infra -e plan -C apply plan -v", "infra -e plan -C apply plan --no-color --out my plan -v"),
            ("infra --env=x -chdir y plan", "infra --env=x --chdir y plan --no-color --out my plan"),
            ("infra backup run x", "infra backup run --no-color --force x"),
            ("infra apply plan", "infra apply --no-color plan"),
            ("infra __guard", "infra __guard"),
            ("infra --help", "infra --help"),
            ("infra bogus plan", "infra bogus plan"),
        ] {
            assert_eq!(with(typed, &variables), meant);
        }
        let open = |_: &str| Some("'x".to_owned());
        assert!(complete(["infra".into(), "plan".into()], open).is_err());
    }

    /// What is typed counts, whatever the environment says.
    #[test]
    fn the_later_flag_counts() {
        let line = |text: &'static str| text.split(' ').map(OsString::from);
        let read = |text: &'static str| crate::cli::parse(line(text)).unwrap();
        assert_eq!(read("infra plan -e a -e b").global.env.as_deref(), Some("b"));
    }
}
