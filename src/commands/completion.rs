//! `infra completion` and `infra man`: scripts for shells, which ask this very program, and pages for `man`.
//!
//! A shell that completes starts `infra` with the variable below. Then the YAML is read, and nothing else: no server, no
//! network. What is broken completes to nothing, for a shell has no place for an error.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::{ArgValueCompleter, CompletionCandidate, Shell, env::Shells};
use clap_mangen::Man;

use super::{Exit, Stop};
use crate::{
    cli::{self, Cli},
    compose, config,
    model::environment::Environment,
    ui::{Failure, Terminal},
};

/// Set by the scripts, to the name of the shell that asks.
const VARIABLE: &str = "INFRA_COMPLETE";

/// What a shell asked to complete; `None` if it is no shell that asks.
pub(super) fn answer(arguments: &[OsString]) -> Option<ExitCode> {
    let shell = env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let words: Vec<OsString> = arguments.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let shells = Shells::builtins();
    let (Some(shell), false) = (shell.to_str().and_then(|shell| shells.completer(shell)), words.is_empty())
    else {
        return Some(Exit::Failed.into());
    };
    let mut command = informed(Cli::command(), &Typed::of(&words));
    let mut answer = Vec::new();
    let here = env::current_dir().ok();
    let written = shell.write_complete(&mut command, words, here.as_deref(), &mut answer);
    let told = written.and_then(|()| Terminal::new(true).out(&String::from_utf8_lossy(&answer)));
    Some(if told.is_ok() { Exit::Done } else { Exit::Failed }.into())
}

/// What was typed so far, as far as it decides what may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Typed {
    environment: Option<String>,
    folder: PathBuf,
}

impl Typed {
    fn of(words: &[OsString]) -> Self {
        let value = |long: &str, short: &str| {
            let mut found = None;
            let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
            while let Some(word) = words.next() {
                let name = word.trim_start_matches('-');
                if word == short || (word.starts_with('-') && name == long) {
                    found = words.next().map(str::to_owned);
                } else if let Some(value) = name.strip_prefix(long).and_then(|rest| rest.strip_prefix('='))
                    && word.starts_with('-')
                {
                    found = Some(value.to_owned());
                }
            }
            found.filter(|value| !value.is_empty())
        };
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            environment: value("env", "-e").or_else(|| variable("INFRA_ENV")),
            folder: value("chdir", "-C").or_else(|| variable("INFRA_CHDIR")).unwrap_or_default().into(),
        }
    }

    fn environments(&self) -> PathBuf {
        self.folder.join("environments")
    }

    /// The environment that was named, or the only one there is.
    fn read(&self) -> Option<(String, Environment)> {
        let all = config::list(&self.environments());
        let name = match &self.environment {
            Some(name) => name.clone(),
            None => all.into_iter().next().filter(|_| config::list(&self.environments()).len() == 1)?,
        };
        let loaded = config::load(&self.environments(), &name).ok()?;
        Some((name, loaded.environment))
    }

    fn addresses(&self) -> Vec<String> {
        let Some((name, environment)) = self.read() else { return Vec::new() };
        compose::compose(&name, &environment).resources.keys().map(ToString::to_string).collect()
    }

    fn names(&self, of: fn(&Environment) -> Vec<String>) -> Vec<String> {
        self.read().map(|(_, environment)| of(&environment)).unwrap_or_default()
    }
}

/// The command line, of which flags and arguments know what is declared. They are told by what their help calls the value.
fn informed(command: Command, typed: &Typed) -> Command {
    let informed_argument = |argument: Arg| {
        let name = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let id = argument.get_id().to_string();
        let typed = typed.clone();
        match (id.as_str(), name.as_deref()) {
            ("env", _) => complete(argument, move || config::list(&typed.environments())),
            (_, Some("ADDRESS")) => complete(argument, move || typed.addresses()),
            (_, Some("SERVICE")) => {
                complete(argument, move || typed.names(|it| it.services.keys().cloned().collect()))
            }
            ("cluster", _) => {
                complete(argument, move || typed.names(|it| it.mongo_clusters.keys().cloned().collect()))
            }
            _ => argument,
        }
    };
    let command = command.mut_args(informed_argument);
    command.mut_subcommands(|child| informed(child, typed))
}

fn complete(argument: Arg, all: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Arg {
    argument.add(ArgValueCompleter::new(move |begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let fits = all().into_iter().filter(|one| one.starts_with(&*begun));
        fits.map(CompletionCandidate::new).collect::<Vec<_>>()
    }))
}

/// Prints what a shell reads.
pub(super) fn script(shell: Shell, terminal: &Terminal) -> Result<Exit, Stop> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer =
        shells.completer(&name).ok_or_else(|| Failure::new(format!("nothing is known of {name}")))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "infra", "infra", "infra", &mut script)?;
    terminal.out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints the page of `infra`, or writes one for each command.
pub(super) fn man(arguments: &cli::Man, terminal: &Terminal) -> Result<Exit, Stop> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let Some(folder) = &arguments.out else {
        terminal.out(&page(&root)?)?;
        return Ok(Exit::Done);
    };
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::of(error).named(&format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let mut pages = Vec::new();
    collect(&root, "infra", &mut pages)?;
    let count = pages.len();
    for (name, text) in pages {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    terminal.out(&format!("{count} pages in {}\n", folder.display()))?;
    Ok(Exit::Done)
}

fn page(command: &Command) -> Result<String, Stop> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A page for each command that is shown: `infra`, `infra-backup-run`.
fn collect(command: &Command, name: &str, pages: &mut Vec<(String, String)>) -> Result<(), Stop> {
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    let named = command.clone().display_name(name.to_owned());
    pages.push((name.to_owned(), page(&named)?));
    for child in command.get_subcommands() {
        collect(child, &format!("{name}-{}", child.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_decides() {
        let typed = |line: &str| Typed::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in [
            "infra plan -e test",
            "infra -env=test plan",
            "infra plan --env test --target x",
            "infra -e a -e test",
        ] {
            assert_eq!(typed(line).environment.as_deref(), Some("test"), "{line}");
        }
        assert_eq!(typed("infra -C /x plan").folder, Path::new("/x"));
        assert_eq!(typed("infra plan -e").environment, None);
    }
}
