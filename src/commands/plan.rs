//! `infra plan`: reads, compares, shows. Never locks, never writes.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Exit, Stop,
    ci::{self, Ci},
    comment,
    session::{Planned, Session, Wanted},
};
use crate::{
    cli::{self, Global},
    engine::World,
    report::{
        self, PlanView,
        comment::{Content, Origin},
        json, markdown, page, text,
    },
    resources::Any,
    ui::{Failure, Terminal, safe::masked},
};

pub(super) async fn run(global: &Global, arguments: &cli::Plan, terminal: &Terminal) -> Result<Exit, Stop> {
    match Box::pin(plan(global, arguments, terminal)).await {
        Ok((view, read_at)) => {
            show(global, arguments, terminal, &view)?;
            let content = Content::Plan(&view);
            if let Some(file) = &arguments.gitlab_report {
                write_file(file, &ci::gitlab_report(std::slice::from_ref(&content)))?;
            }
            report(arguments, terminal, &content, read_at).await;
            ended(&view, arguments.detailed_exitcode)
        }
        Err(stop) => {
            if let Some(environment) = global.env.clone() {
                let errors = stop.failures.iter().map(|failure| failure.text(false)).collect();
                report(arguments, terminal, &Content::Failed { environment, errors }, None).await;
            }
            Err(stop)
        }
    }
}

/// The plan, and when the world was read.
async fn plan(
    global: &Global,
    arguments: &cli::Plan,
    terminal: &Terminal,
) -> Result<(PlanView, Option<String>), Stop> {
    let session = Session::open(global)?;
    let wanted = Wanted::new(&arguments.shape, arguments.destroy, &arguments.allow_destroy);
    let desired = session.desired(&wanted);
    let mut read_at = None;
    let world: World<Any> = if let Some(file) = &arguments.world {
        serde_json::from_str(&read_file(file)?)?
    } else {
        if !global.quiet {
            terminal.err(&format!("Reading the actual state of {}...\n", session.name));
        }
        let live = session.reader("plan").await?;
        let world = session.read(&live, &desired).await;
        live.postgres.close().await;
        read_at = Some(jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string());
        world?
    };
    if let Some(file) = &arguments.save_world {
        write_file(file, &serde_json::to_string_pretty(&world)?)?;
    }
    let Planned { view, .. } = session.plan(&desired, &world, &wanted)?;
    Ok((view, read_at))
}

fn show(global: &Global, arguments: &cli::Plan, terminal: &Terminal, view: &PlanView) -> Result<(), Stop> {
    let document = json::render(view)?;
    for file in arguments.out.iter().chain(&arguments.json_into) {
        if file.as_os_str() == "-" { terminal.out(&document)? } else { write_file(file, &document)? }
    }
    if let Some(file) = &arguments.html {
        write_page(file, &page::plan(view), global, terminal)?;
    }
    let is_stdout = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
    if arguments.json {
        terminal.out(&document)?;
    } else if arguments.markdown {
        terminal.out(&markdown::render(view))?;
    } else if !is_stdout(&arguments.out) && !is_stdout(&arguments.html) {
        terminal.out(&text::render(view, style(global, terminal, arguments.summary)))?;
        if let Some(file) = arguments.out.as_ref().filter(|_| view.counts.changes() > 0 && hints_wanted()) {
            let (name, file) = (&view.environment, file.display());
            terminal.out(&format!(
                "\nSaved the plan to: {file}\n\nTo perform exactly these actions, run the following command to apply:\n    \
                 infra apply -e {name} \"{file}\"\n"
            ))?;
        }
    }
    Ok(())
}

/// Tells CI, and with `--comment` the pull request.
async fn report(arguments: &cli::Plan, terminal: &Terminal, content: &Content<'_>, read_at: Option<String>) {
    let ci = Ci::read();
    let origin = Origin { read_at, ..ci.origin(&arguments.review) };
    let contents = std::slice::from_ref(content);
    if arguments.comment {
        comment::publish(terminal, &ci, &arguments.review, contents, &origin, arguments.label).await;
    }
    for failure in ci::tell(contents, &origin) {
        failure.warn(terminal.err_colour);
    }
}

/// The exit code that a plan speaks with. What could not be read is an error: nobody may take it for "no changes".
fn ended(view: &PlanView, detailed: bool) -> Result<Exit, Stop> {
    unreadable(view)?;
    Ok(if detailed && view.counts.changes() > 0 { Exit::Changes } else { Exit::Done })
}

pub(super) fn unreadable(view: &PlanView) -> Result<(), Stop> {
    let messages: std::collections::BTreeSet<&str> = (view.held.iter())
        .filter(|held| held.reason == "unreadable")
        .map(|held| held.message.as_str())
        .collect();
    if messages.is_empty() {
        return Ok(());
    }
    let failures = messages.into_iter().map(Failure::new).collect();
    Err(Stop { exit: Exit::Failed, failures })
}

pub(super) fn style(global: &Global, terminal: &Terminal, summary: bool) -> text::Style {
    text::Style { colour: terminal.colour, verbose: global.verbose > 0, summary }
}

/// Whether to tell what to type next: not to a machine.
pub(super) fn hints_wanted() -> bool {
    !["INFRA_IN_AUTOMATION", "CI"].iter().any(|name| {
        std::env::var_os(name).is_some_and(|value| !["", "0", "false"].iter().any(|no| value == *no))
    })
}

pub(super) fn read_file(file: &Path) -> Result<String, Stop> {
    fs::read_to_string(file)
        .map_err(|error| Failure::of(&error).named(&format!("cannot read {}", file.display())).into())
}

/// Writes a file, whole or not at all: whoever reads it meanwhile, or after a run that was killed, has the old one.
pub(super) fn write_file(file: &Path, text: &str) -> Result<(), Stop> {
    let written = match fs::metadata(file) {
        // A device or a pipe is written into, not replaced.
        Ok(there) if !there.is_file() => fs::write(file, text),
        Ok(there) => fs::canonicalize(file).and_then(|file| replace(&file, text, Some(there.permissions()))),
        Err(_) => replace(file, text, None),
    };
    written.map_err(|error| Failure::of(&error).named(&format!("cannot write {}", file.display())).into())
}

fn replace(file: &Path, text: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = fs::File::create(&new).and_then(|mut file| {
        permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))?;
        file.write_all(text.as_bytes())
    });
    written.and_then(|()| fs::rename(&new, file)).inspect_err(|_| {
        // What could not be written is told; what is left of it matters less.
        let _ = fs::remove_file(&new);
    })
}

/// Writes a page, or prints it where the file is `-`.
pub(super) fn write_page(
    file: &Path,
    page: &page::Document,
    global: &Global,
    terminal: &Terminal,
) -> Result<(), Stop> {
    let text = page.render(masked);
    if file == Path::new("-") {
        terminal.out(&text)?;
        return Ok(());
    }
    write_file(file, &text)?;
    if !global.quiet {
        terminal.err(&format!("Wrote the page to {}\n", file.display()));
    }
    Ok(())
}

/// A plan that was saved. It shows as it did, whatever the world has become since.
pub(super) fn saved(file: &Path) -> Result<PlanView, Stop> {
    let text = read_file(file)?;
    report::json::parse(&text).map_err(|error| {
        Failure::of(&error).named(&format!("{} is not a plan that infra has saved", file.display())).into()
    })
}
