//! `infra fmt`: the YAML in one layout, as `terraform fmt` does it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use similar::TextDiff;

use super::{Exit, Stop, session::project};
use crate::{
    cli::{self, Global},
    config,
    ui::{Failure, Terminal},
};

pub(super) fn run(global: &Global, arguments: &cli::Fmt, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = project(global)?;
    if let [path] = arguments.paths.as_slice()
        && path.as_os_str() == "-"
    {
        return from_stdin(arguments, terminal);
    }
    let (mut changed, mut failures) = (false, Vec::new());
    for file in files(global, arguments, &project)? {
        match one(&file, &project, arguments, terminal) {
            Ok(differs) => changed |= differs,
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(Stop { exit: Exit::Failed, failures });
    }
    Ok(if changed && arguments.check { Exit::Failed } else { Exit::Done })
}

fn from_stdin(arguments: &cli::Fmt, terminal: &Terminal) -> Result<Exit, Stop> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let formatted = config::format(&text).map_err(|error| Failure::of(&error).named("<stdin>"))?;
    if arguments.diff {
        terminal.out(&diff(&text, &formatted, "<stdin>"))?;
    } else if !arguments.check {
        terminal.out(&formatted)?;
    }
    Ok(if arguments.check && text != formatted { Exit::Failed } else { Exit::Done })
}

/// What was named, or the folder of the environment, or all folders of environments; in order, each once.
fn files(global: &Global, arguments: &cli::Fmt, project: &Path) -> Result<Vec<PathBuf>, Stop> {
    let environments = project.join("environments");
    let named: Vec<PathBuf> = match &global.env {
        _ if !arguments.paths.is_empty() => arguments.paths.iter().map(|path| project.join(path)).collect(),
        Some(name) if config::list(&environments).contains(name) => vec![environments.join(name)],
        Some(name) => {
            let failure = Failure::new(format!("there is no environment `{name}`"));
            let there = config::list(&environments).join(", ");
            return Err(failure.hint(format!("there are: {there}")).into());
        }
        None => vec![environments],
    };
    let mut found = Vec::new();
    for path in named {
        let failed =
            |error: &std::io::Error| Failure::of(error).named(&format!("cannot read {}", path.display()));
        if fs::metadata(&path).map_err(|error| failed(&error))?.is_dir() {
            below(&path, &mut found).map_err(|error| failed(&error))?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Every `*.yaml` of a folder and those in it. Folders are not followed through links, so that none is met twice.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether the file is laid out otherwise than it should be; unless that is all that was asked, it is mended.
fn one(file: &Path, project: &Path, arguments: &cli::Fmt, terminal: &Terminal) -> Result<bool, Failure> {
    let name = file.strip_prefix(project).unwrap_or(file).display().to_string();
    let failed = |error: &dyn std::error::Error, what: &str| Failure::new(format!("{what} {name}: {error}"));
    let text = fs::read_to_string(file).map_err(|error| failed(&error, "cannot read"))?;
    let formatted = config::format(&text).map_err(|error| {
        failed(&error, "cannot format").hint("infra validate shows the place of each problem")
    })?;
    if text == formatted {
        return Ok(false);
    }
    if !arguments.check {
        replace(file, &formatted).map_err(|error| failed(&error, "cannot write"))?;
    }
    let told = if arguments.diff { diff(&text, &formatted, &name) } else { String::new() };
    terminal
        .out(&format!("{}\n{told}", crate::report::visible(&name)))
        .map_err(|error| failed(&error, "cannot print"))?;
    Ok(true)
}

fn diff(before: &str, after: &str, name: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .header(&format!("old/{name}"), &format!("new/{name}"))
        .to_string()
}

/// Another content for a file, whole or not at all, under its name, owner and rights. A link goes on leading to it.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = fs::canonicalize(file)?;
    let old = fs::metadata(&file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut written: File = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        written.write_all(text.as_bytes())?;
        // Who may not give files away keeps what he makes.
        let _ = chown(&new, Some(old.uid()), Some(old.gid()));
        written.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        written.sync_all()?;
        fs::rename(&new, &file)
    })();
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&new);
    }
    written
}
