//! `infra snapshot`: a consistent snapshot of a MongoDB replica set, without any YAML.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use serde_json::json;

use super::{Exit, Stop, interrupt::Signals};
use crate::{
    cli::{self, Global},
    model::mongo_uri::{BadUri, MongoUri, Pasted},
    providers::mongo::Access,
    report,
    snapshot::{
        self, Choice, Ending, NoSurvey, Request, Rules, Stale, Step, Taken, Unlocked, choose::Refusal,
    },
    ui::{Failure, Terminal},
};

/// The third way to say which set.
pub(super) const VARIABLE: &str = "INFRA_MONGO_URI";

/// No connection string is longer.
const LONGEST: u64 = 64 * 1024;

pub(super) async fn run(
    global: &Global,
    arguments: &cli::Snapshot,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    // Before anything else, so that no signal finds a member locked and us unprepared.
    let mut signals = Signals::new()?;
    let progress = |step: &Step| {
        if step.alarm || !global.quiet {
            let mark = if step.alarm { "!! " } else { "" };
            terminal.err(&format!(
                "{}\n",
                report::line(&format!("[{:>6} ms] {mark}{}", step.elapsed.as_millis(), step.text))
            ));
        }
    };
    let request = request(arguments, terminal)?;
    if arguments.dry_run {
        return dry_run(&request, arguments.json, terminal).await;
    }
    let stop = signals.next();
    if arguments.release_stale {
        let released = snapshot::release_stale(&request, stop, &progress).await;
        return tell_stale(released, arguments.json, terminal);
    }
    tell(&snapshot::take(&request, stop, &progress).await, terminal)
}

/// Runs as the guardian.
pub(super) async fn guard() -> Result<Exit, Stop> {
    snapshot::guard().await?;
    Ok(Exit::Done)
}

/// Runs as the snapshot command, before it is that.
pub(super) fn gate(command: &[OsString]) -> Result<Exit, Stop> {
    snapshot::gate(command)
        .map_err(|error| Failure::of(&error).named("the snapshot command cannot be started"))?;
    Ok(Exit::Done)
}

/// The exit code of an ending.
pub(super) fn exit(ending: Ending) -> Exit {
    match ending {
        Ending::Consistent => Exit::Done,
        Ending::NoMember => Exit::NoMember,
        Ending::LockTimeout => Exit::LockTimeout,
        Ending::CommandFailed => Exit::SnapshotFailed,
        Ending::MaxLock => Exit::MaxLock,
        Ending::ConsistencyLost => Exit::Inconsistent,
        Ending::ForeignLock => Exit::ForeignLock,
        Ending::StillLocked => Exit::StillLocked,
        Ending::Interrupted(signal) => Exit::Interrupted(signal),
        Ending::Failed => Exit::Failed,
    }
}

/// The error, the manifest, and last whether the member is unlocked.
fn tell(taken: &Taken, terminal: &Terminal) -> Result<Exit, Stop> {
    let manifest = &taken.manifest;
    if let Some(failure) = failure(taken) {
        failure.print(terminal.err_colour);
    }
    let written = terminal.out(&format!("{}\n", serde_json::to_string(manifest)?));
    terminal.err(match manifest.unlocked {
        Unlocked::NothingLocked => "unlocked: verified (nothing was locked)\n",
        Unlocked::Verified => "unlocked: verified\n",
        Unlocked::Unknown => "unlocked: UNKNOWN\n",
    });
    if taken.ending == Ending::Consistent {
        written?;
    }
    Ok(exit(taken.ending))
}

fn tell_stale(
    released: Result<Option<Stale>, (Ending, String, Option<String>)>,
    as_json: bool,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let stale = released.map_err(|(ending, message, hint)| {
        let failure = Failure::new(message);
        Stop::new(exit(ending), hint.into_iter().fold(failure, Failure::hint))
    })?;
    let text = match &stale {
        _ if as_json => json!({ "released": stale }).to_string(),
        Some(stale) => format!("released {}, which run {} had left locked", stale.member, stale.run_id),
        None => "no killed run of this machine has left a lock".into(),
    };
    terminal.out(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

/// What to print of an ending that is no success.
pub(super) fn failure(taken: &Taken) -> Option<Failure> {
    let manifest = &taken.manifest;
    let message = manifest.message.as_ref().filter(|_| taken.ending != Ending::Consistent)?;
    let mut failure = Failure::new(message);
    if taken.ending == Ending::CommandFailed {
        failure.causes.extend(last_lines(&manifest.output));
    }
    Some(match &taken.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// What a command said at the end, which is mostly why it failed.
fn last_lines(output: &str) -> Option<String> {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let last = lines.get(lines.len().saturating_sub(10)..)?.join("\n");
    (!last.is_empty()).then_some(last)
}

fn request(arguments: &cli::Snapshot, terminal: &Terminal) -> Result<Request, Stop> {
    let Pasted { uri, warnings } = MongoUri::parse(&source(arguments)?).map_err(bad_uri)?;
    for warning in warnings {
        terminal.err(&format!("Warning: {}\n", report::line(&warning)));
    }
    if arguments.uri.as_deref().is_some_and(|text| text != "-") && uri.password.is_some() {
        terminal.err(&format!(
            "Warning: the password can be seen in the process list; use --uri-file, `-` or {VARIABLE}\n"
        ));
    }
    let command = snapshot::words(&arguments.command)
        .ok_or_else(|| Failure::new(format!("--command `{}`: a quote is not closed", arguments.command)))?;
    let mut vm_hosts = BTreeMap::new();
    for pair in &arguments.vm_host {
        let (member, vm) = pair
            .split_once('=')
            .filter(|(member, vm)| !member.is_empty() && !vm.is_empty())
            .ok_or_else(|| {
            Failure::new(format!("--vm-host `{pair}`: expected MEMBER=VM, such as mongo-1:27017=vm-1"))
        })?;
        vm_hosts.insert(member.to_owned(), vm.to_owned());
    }
    Ok(Request {
        access: Access::new(uri, &format!("infra snapshot by {}", super::session::who())),
        rules: Rules {
            member: arguments.member.clone(),
            max_lag: arguments.max_lag,
            max_lock: arguments.max_lock,
            allow_degraded: arguments.allow_degraded,
        },
        command,
        vm_hosts,
        state: state_folder(arguments.state_dir.clone())?,
        environment: None,
        policy: None,
        lock_timeout: arguments.lock_timeout,
        unlock_patience: arguments.unlock_patience,
        hidden_variables: vec![VARIABLE.into()],
    })
}

/// The connection string, from the one place where it is.
fn source(arguments: &cli::Snapshot) -> Result<String, Stop> {
    let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let mut given = Vec::new();
    if arguments.uri.is_some() {
        given.push("the argument");
    }
    if arguments.uri_file.is_some() {
        given.push("--uri-file");
    }
    if variable.is_some() {
        given.push(VARIABLE);
    }
    let hint = format!("give one of: the argument URI (`-`: standard input), --uri-file FILE, {VARIABLE}");
    if given.len() > 1 {
        let message =
            format!("the connection string is given {} times: by {}", given.len(), given.join(" and "));
        return Err(Failure::new(message).hint(hint).into());
    }
    let named = |what: String| move |error: io::Error| Failure::of(&error).named(&what);
    let mut text = String::new();
    match (&arguments.uri, &arguments.uri_file, variable) {
        (Some(dash), ..) if dash == "-" => {
            let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
            read.map_err(named("the connection string cannot be read from standard input".into()))?;
        }
        (Some(uri), ..) => text.clone_from(uri),
        (_, Some(file), _) => {
            let what = format!("the connection string cannot be read from {}", file.display());
            let opened = fs::File::open(file);
            opened.and_then(|file| file.take(LONGEST).read_to_string(&mut text)).map_err(named(what))?;
        }
        (.., Some(variable)) => {
            text =
                variable.into_string().map_err(|_| Failure::new(format!("{VARIABLE} is no valid UTF-8")))?;
        }
        _ => return Err(Failure::new("no connection string was given").hint(hint).into()),
    }
    Ok(text)
}

fn bad_uri(error: BadUri) -> Stop {
    let failure = Failure::new(format!("the connection string cannot be used: {}", error.message));
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
    .into()
}

/// Where what is locked is remembered: it must survive this run, and be the same for the next one.
pub(super) fn state_folder(told: Option<PathBuf>) -> Result<PathBuf, Stop> {
    if let Some(folder) = told {
        return Ok(folder);
    }
    let of = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    let folder = folder.ok_or_else(|| {
        Failure::new("neither XDG_STATE_HOME nor HOME says where to remember what is locked")
            .hint("name a folder with --state-dir or INFRA_STATE_DIR")
    })?;
    Ok(folder.join("infra"))
}

async fn dry_run(request: &Request, as_json: bool, terminal: &Terminal) -> Result<Exit, Stop> {
    let survey = snapshot::survey(&request.access).await.map_err(|error| no_survey(&error))?;
    let choice = snapshot::choose(&survey, &request.rules);
    let text = if as_json {
        format!("{}\n", json!({"dry_run": true, "replica_set": survey.set, "choice": choice}))
    } else {
        in_words(&choice, request)
    };
    terminal.out(&text)?;
    match &choice.refusal {
        None if !choice.candidates.is_empty() => Ok(Exit::Done),
        None => Err(Stop::new(Exit::NoMember, Failure::new("no member may be locked"))),
        Some(Refusal::NoMember { message, hint }) => {
            let failure = Failure::new(message);
            Err(Stop::new(
                Exit::NoMember,
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                },
            ))
        }
        Some(Refusal::ForeignLock { members }) => {
            Err(Stop::new(Exit::ForeignLock, Failure::new(format!("locked already: {}", members.join(", ")))))
        }
    }
}

fn in_words(choice: &Choice, request: &Request) -> String {
    let mut lines = Vec::new();
    for (place, candidate) in choice.candidates.iter().enumerate() {
        let verb = if place == 0 { "would lock" } else { "or else" };
        lines.push(format!("{verb} {}: {}", candidate.member, candidate.reason));
    }
    lines.extend(
        choice.rejected.iter().map(|rejected| format!("not {}: {}", rejected.member, rejected.reason)),
    );
    lines.extend(choice.warnings.iter().map(|warning| format!("warning: {warning}")));
    if let Some(first) = choice.candidates.first() {
        match snapshot::command_for(request, &first.member) {
            Ok(words) => lines.push(format!("would run {}", words.join(" "))),
            Err(message) => lines.push(format!("warning: {message}")),
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| report::line(line)).collect();
    format!("{}\n", lines.join("\n"))
}

fn no_survey(error: &NoSurvey) -> Stop {
    let failure = Failure::new(error.to_string());
    let failure = match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    Stop::new(exit(error.ending()), failure)
}
