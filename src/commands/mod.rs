//! What the user asked: one file for each verb.

mod apply;
mod exit;
mod import;
mod interrupt;
mod plan;
mod platform;
mod session;
mod show;
mod small;
mod validate;
mod verify;

use std::{ffi::OsString, process::ExitCode};

use clap::error::ErrorKind;
pub use exit::{Exit, Stop};

use crate::{
    cli::{self, Cli, Command},
    ui::{Failure, Terminal},
};

/// Runs one command line, from the arguments to the exit code. Nothing else prints or ends the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
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
        // Whoever read the output has seen enough; that is no failure.
        _ if terminal.is_closed() => ExitCode::SUCCESS,
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
    // A failure to print leaves nothing to print it with.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => Exit::Failed.into(),
    }
}

async fn dispatch(cli: &Cli, terminal: &Terminal) -> Result<Exit, Stop> {
    let global = &cli.global;
    match &cli.command {
        Command::Validate(arguments) => validate::validate(global, arguments, terminal),
        Command::Config(arguments) => validate::config(global, arguments, terminal),
        Command::Plan(arguments) => plan::run(global, arguments, terminal).await,
        Command::Apply(arguments) => apply::apply(global, arguments, terminal).await,
        Command::Destroy(arguments) => apply::destroy(global, arguments, terminal).await,
        Command::Show(arguments) => show::run(global, arguments, terminal).await,
        Command::Import(arguments) => import::run(global, arguments, terminal).await,
        Command::Verify(arguments) => verify::run(global, arguments, terminal).await,
        Command::Schema(arguments) => small::schema(arguments.document, terminal),
        Command::Completion(arguments) => small::completion(arguments.shell, terminal),
        Command::Version(arguments) => small::version(arguments.json, terminal),
        Command::Init => small::needless("init", "there is nothing to initialise: infra plan"),
        Command::Refresh => small::needless("refresh", "every plan reads the servers themselves: infra plan"),
        Command::State => small::needless("state", "there is no state; what exists is shown by infra show"),
    }
}
