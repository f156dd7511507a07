//! What the user asked: one file for each verb.

mod access;
mod apply;
mod approval;
mod backup;
mod ci;
mod comment;
mod completion;
mod connect;
mod doctor;
mod exit;
mod fmt;
mod graph;
mod history;
mod import;
mod interrupt;
mod locks;
mod output;
mod plan;
mod platform;
mod record;
mod records;
mod session;
mod show;
mod small;
mod snapshot;
mod validate;
mod verify;

use std::{ffi::OsString, process::ExitCode};

use clap::error::ErrorKind;
pub use exit::{Exit, Stop};

use crate::{
    cli::{self, Cli, Command},
    ui::{Failure, Terminal, safe},
};

/// Runs one command line, from the arguments to the exit code. Nothing else prints or ends the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    if let Err(error) = safe::install() {
        Failure::of(&error).print(false);
        return Exit::Failed.into();
    }
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(answered) = completion::answer(&arguments) {
        return answered;
    }
    let parsed = match cli::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(parsed.global.no_color);
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(dispatch(&parsed, &terminal));
            // A thread that waits for input that will not come must not hold up the end.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Stop::from(Failure::of(&error))),
    };
    match ended {
        // Whoever read the output has seen enough; that is no failure. A snapshot's exit code says more than its output.
        _ if terminal.is_closed() && !matches!(parsed.command, Command::Snapshot(_) | Command::Backup(_)) => {
            ExitCode::SUCCESS
        }
        Ok(exit) => exit.into(),
        Err(stop) => {
            for failure in &stop.failures {
                failure.print(terminal.err_colour);
            }
            stop.exit.into()
        }
    }
}

/// Help and version are no errors; everything else about the command line is one, with Terraform's exit code for it
/// rather than clap's, which is the one that means "changes present".
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A failure to print leaves nothing to print it with.
            let _ = error.print();
            Exit::Done.into()
        }
        _ => {
            // What was typed stands in it, so it goes out by the door that all else does.
            let (terminal, text) = (Terminal::new(false), error.render());
            terminal.err(&if terminal.err_colour { text.ansi().to_string() } else { text.to_string() });
            Exit::Failed.into()
        }
    }
}

async fn dispatch(cli: &Cli, terminal: &Terminal) -> Result<Exit, Stop> {
    let global = &cli.global;
    match &cli.command {
        Command::Validate(arguments) => validate::validate(global, arguments, terminal),
        Command::Fmt(arguments) => fmt::run(global, arguments, terminal),
        Command::Config(arguments) => validate::config(global, arguments, terminal),
        Command::Plan(arguments) => Box::pin(plan::run(global, arguments, terminal)).await,
        Command::Apply(arguments) => apply::apply(global, arguments, terminal).await,
        Command::Destroy(arguments) => apply::destroy(global, arguments, terminal).await,
        Command::Comment(arguments) => Box::pin(comment::run(global, arguments, terminal)).await,
        Command::Show(arguments) => Box::pin(show::run(global, arguments, terminal)).await,
        Command::Import(arguments) => Box::pin(import::run(global, arguments, terminal)).await,
        Command::Graph(arguments) => Box::pin(graph::run(global, arguments, terminal)).await,
        Command::History(arguments) => history::run(global, arguments, terminal).await,
        Command::Access(arguments) => Box::pin(access::run(global, arguments, terminal)).await,
        Command::Output(arguments) => output::run(global, arguments, terminal).await,
        Command::Connect(arguments) => Box::pin(connect::run(global, arguments, terminal)).await,
        Command::Verify(arguments) => Box::pin(verify::run(global, arguments, terminal)).await,
        Command::Doctor(arguments) => doctor::run(global, arguments, terminal).await,
        Command::Snapshot(arguments) => snapshot::run(global, arguments, terminal).await,
        Command::Backup(arguments) => match &arguments.what {
            cli::BackupCommand::List(arguments) => backup::list(global, arguments, terminal).await,
            cli::BackupCommand::Run(arguments) => backup::run(global, arguments, terminal).await,
        },
        Command::Guard => snapshot::guard().await,
        Command::Gate { command } => snapshot::gate(command),
        Command::Schema(arguments) => small::schema(arguments.document, terminal),
        Command::Completion(arguments) => completion::script(arguments.shell, terminal),
        Command::Man(arguments) => completion::man(arguments, terminal),
        Command::Version(arguments) => small::version(arguments.json, terminal),
        Command::Init => small::needless("init", "there is nothing to initialise: infra plan"),
        Command::Refresh => small::needless("refresh", "every plan reads the servers themselves: infra plan"),
        Command::State => small::needless("state", "there is no state; what exists is shown by infra show"),
    }
}
