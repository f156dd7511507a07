//! The snapshot command: found before anything is locked, started with one byte, ended with its whole process group.

use std::{
    collections::VecDeque,
    env, fs, io,
    io::BufRead as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::manifest::OpTime;

/// How much of the command's output is kept.
const KEPT: usize = 64 * 1024;

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(10);

/// Where the machine's name goes.
const HOST: &str = "{host}";

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCommand {
    #[error("no snapshot command was given")]
    Empty,
    #[error("the snapshot command `{0}` was not found on PATH")]
    NotFound(String),
    #[error("the snapshot command {0} is no file that may be executed")]
    NotExecutable(PathBuf),
}

/// Splits a command line into words, as a shell does; nothing if a quote is not closed. Nothing else of a shell's language
/// has a meaning.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(characters.next()?),
            (Some('"'), '\\') => match characters.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => word.get_or_insert_default().push(escaped),
                other => word.get_or_insert_default().extend(['\\', other]),
            },
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A command whose program was found.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    program: PathBuf,
    words: Vec<String>,
}

/// Finds the program as a shell would.
pub(super) fn resolve(words: &[String]) -> Result<Resolved, NoCommand> {
    let name = words.first().filter(|name| !name.is_empty()).ok_or(NoCommand::Empty)?;
    let program = if name.contains('/') {
        let path = std::path::absolute(name).unwrap_or_else(|_| name.into());
        if !path.exists() {
            return Err(NoCommand::NotFound(name.clone()));
        }
        executable(&path).then_some(path.clone()).ok_or(NoCommand::NotExecutable(path))?
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        let candidates: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join(name)).collect();
        match candidates.iter().find(|candidate| executable(candidate)) {
            Some(found) => std::path::absolute(found).unwrap_or_else(|_| found.clone()),
            None => match candidates.into_iter().find(|candidate| candidate.is_file()) {
                Some(found) => return Err(NoCommand::NotExecutable(found)),
                None => return Err(NoCommand::NotFound(name.clone())),
            },
        }
    };
    Ok(Resolved { program, words: words.to_vec() })
}

fn executable(path: &Path) -> bool {
    // Asks for the rights of the user who runs this.
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

impl Resolved {
    pub(super) fn program(self) -> PathBuf {
        self.program
    }

    /// The words with the machine filled in; it comes last if no word asks for it.
    pub(super) fn words(&self, host: &str) -> Vec<String> {
        let asked = self.words.iter().skip(1).any(|word| word.contains(HOST));
        let mut words: Vec<String> = self.words.iter().take(1).cloned().collect();
        words.extend(self.words.iter().skip(1).map(|word| word.replace(HOST, host)));
        if !asked {
            words.push(host.to_owned());
        }
        words
    }
}

/// A process that will become the command. Being there already, it costs no time while the member is locked.
pub(super) struct Gate {
    child: Child,
    opener: Option<ChildStdin>,
    output: Arc<Mutex<Output>>,
    drains: Vec<JoinHandle<()>>,
}

impl Gate {
    /// `variables` are added to the environment, `hidden` ones removed from it.
    pub(super) fn start(
        resolved: &Resolved,
        words: &[String],
        variables: &[(&str, String)],
        hidden: &[String],
    ) -> io::Result<Self> {
        let mut command = tokio::process::Command::new(this_binary()?);
        command.arg0("infra").args(["__gate", "--"]).arg(&resolved.program).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        for name in hidden {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn()?;
        let output = Arc::new(Mutex::new(Output::default()));
        let mut drains = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            drains.push(tokio::spawn(drain(stdout, output.clone(), true)));
        }
        if let Some(stderr) = child.stderr.take() {
            drains.push(tokio::spawn(drain(stderr, output.clone(), false)));
        }
        Ok(Self { opener: child.stdin.take(), child, output, drains })
    }

    /// The process group, which is the command's.
    pub(super) fn group(&self) -> Option<i32> {
        self.child.id().and_then(|id| id.try_into().ok())
    }

    /// Lets the command begin.
    pub(super) async fn open(&mut self, optime: Option<OpTime>) -> io::Result<()> {
        let text = optime.map(|optime| optime.to_string()).unwrap_or_default();
        match self.opener.take() {
            Some(mut opener) => opener.write_all(format!("{text}\n").as_bytes()).await,
            None => Ok(()),
        }
    }

    /// Waits for the process alone: children that it leaves may have its output open for ever.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends a gate that was never opened.
    pub(super) async fn dismiss(mut self) {
        drop(self.opener.take());
        if timeout(Duration::from_secs(1), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// Ends the command and all that it has started. How it ended, if it did.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        let Some(group) = self.group() else { return self.child.wait().await.ok() };
        let (status, ()) = futures::join!(timeout(GRACE * 2, self.child.wait()), end_group(group));
        status.ok().and_then(Result::ok)
    }

    /// What it has written so far; what is still in the pipes is read first, if there is somebody to read it from.
    pub(super) async fn output(&mut self) -> Output {
        let drained = futures::future::join_all(self.drains.iter_mut());
        let _ = timeout(Duration::from_millis(200), drained).await;
        for drain in &self.drains {
            drain.abort();
        }
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *output)
    }
}

/// Reads to the end, whoever writes, so that nobody has to wait with a full pipe.
async fn drain(mut pipe: impl AsyncRead + Unpin, output: Arc<Mutex<Output>>, is_stdout: bool) {
    let mut buffer = vec![0; KEPT];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.both.push(&buffer[..read]);
        if is_stdout {
            output.stdout.push(&buffer[..read]);
        }
    }
}

/// The end of what a command has written.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) both: Tail,
    pub(super) stdout: Tail,
}

#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: VecDeque<u8>,
    pub(super) omitted: u64,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let skip = bytes.len().saturating_sub(KEPT);
        let room = KEPT - (bytes.len() - skip);
        let drop = self.kept.len().saturating_sub(room);
        self.kept.drain(..drop);
        self.kept.extend(&bytes[skip..]);
        self.omitted += (skip + drop) as u64;
    }

    pub(super) fn text(&self) -> String {
        let (front, back) = self.kept.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// What the command says that it has made: `{"snapshot_ids": [...]}` in its last line, or that line itself.
pub(super) fn snapshot_ids(stdout: &str) -> Vec<String> {
    let Some(last) = stdout.lines().rev().map(str::trim).find(|line| !line.is_empty()) else {
        return Vec::new();
    };
    let listed = serde_json::from_str::<serde_json::Value>(last).ok().and_then(|value| {
        let ids = value.get("snapshot_ids")?.as_array()?;
        Some(ids.iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect())
    });
    listed.unwrap_or_else(|| vec![last.to_owned()])
}

/// How it ended, as an exit code and as a signal.
pub(super) fn ending(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code(), status.signal())
}

/// Asks every process of the group to end, and ends those that have not after ten seconds.
pub(super) async fn end_group(group: i32) {
    let group = Pid::from_raw(group);
    let _ = killpg(group, Signal::SIGTERM);
    let begun = Instant::now();
    while begun.elapsed() < GRACE {
        if killpg(group, None) == Err(Errno::ESRCH) || only_dead(group) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let _ = killpg(group, Signal::SIGKILL);
}

/// Whether all that is left of a group are processes that have ended and that nobody has asked for their end: containers
/// often have nobody who does.
fn only_dead(group: Pid) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let mut seen = false;
    for process in processes.flatten() {
        let Ok(line) = fs::read_to_string(process.path().join("stat")) else { continue };
        // `pid (name) state parent group ...`; a name may have anything in it.
        let Some((_, rest)) = line.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, of) = (fields.next(), fields.nth(1));
        if of.and_then(|of| of.parse().ok()) == Some(group.as_raw()) {
            seen = true;
            if state != Some("Z") && state != Some("X") {
                return false;
            }
        }
    }
    seen
}

/// Runs as the gate: waits for one line with the optime, then becomes the command. Without the line the supervisor is
/// dead, and there is nothing to run. Returns only if the command cannot be run.
pub fn gate(command: &[std::ffi::OsString]) -> io::Result<()> {
    let [program, name, arguments @ ..] = command else { return Ok(()) };
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 || !line.ends_with('\n') {
        return Ok(());
    }
    let nothing = fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&nothing)?;
    let mut command = std::process::Command::new(program);
    command.arg0(name).args(arguments).env("INFRA_MONGO_OPTIME", line.trim_end());
    Err(command.exec())
}

/// What runs. By the kernel's own name for it if its file was replaced meanwhile.
pub(super) fn this_binary() -> io::Result<PathBuf> {
    let current = env::current_exe()?;
    Ok(if current.exists() { current } else { "/proc/self/exe".into() })
}

/// Variables that must not reach other programs: those that were named, and all that hold a connection string or the
/// password.
pub(super) fn hidden(named: &[String], password: Option<&str>) -> Vec<String> {
    let password = password.filter(|password| !password.is_empty());
    let tells = |value: &str| {
        value.contains("mongodb://") || value.contains("mongodb+srv://") || Some(value) == password
    };
    let telling = env::vars_os().filter(|(_, value)| value.to_str().is_some_and(tells));
    let mut names: Vec<String> = telling.filter_map(|(name, _)| name.into_string().ok()).collect();
    names.extend(named.iter().cloned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        super::words(text).unwrap()
    }

    #[test]
    fn split_as_a_shell_does() {
        for (line, expected) in [
            ("", vec![]),
            ("  a  b\tc\n", vec!["a", "b", "c"]),
            (r#"a 'b c' "d e" f\ g"#, vec!["a", "b c", "d e", "f g"]),
            (r#"a '' "" x'y'"z""#, vec!["a", "", "", "xyz"]),
            (r#""a\"b\\c\d" 'a\b' $HOME {host}"#, vec![r#"a"b\c\d"#, r"a\b", "$HOME", "{host}"]),
        ] {
            assert_eq!(super::words(line).unwrap(), expected, "{line}");
        }
        for open in ["'a", "\"a", "a\\", "'a\""] {
            assert_eq!(super::words(open), None, "{open}");
        }
    }

    #[test]
    fn the_machine_is_filled_in() {
        for (command, expected) in [
            ("true", "true vm-1"),
            ("true {host}", "true vm-1"),
            ("true --vm={host} --wait", "true --vm=vm-1 --wait"),
            ("true --wait", "true --wait vm-1"),
        ] {
            let resolved = resolve(&words(command)).unwrap();
            assert_eq!(resolved.words("vm-1"), words(expected));
        }
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plain");
        fs::write(&file, "").unwrap();
        let message = |command: &str| resolve(&words(command)).unwrap_err().to_string();
        assert!(message("no-such-command-anywhere x").contains("not found on PATH"));
        assert!(message("/no/such/file").contains("was not found"));
        assert!(message(file.to_str().unwrap()).contains("no file that may be executed"));
        assert!(message(folder.path().to_str().unwrap()).contains("no file that may be executed"));
        assert!(resolve(&[]).is_err() && resolve(&[String::new()]).is_err());
    }

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        tail.push(b"first ");
        tail.push(b"second");
        assert_eq!((tail.text().as_str(), tail.omitted), ("first second", 0));
        for _ in 0..100 {
            tail.push(&[b'x'; 5000]);
        }
        tail.push(b"the end");
        let text = tail.text();
        assert_eq!((text.len(), tail.omitted), (KEPT, 12 + 500_000 + 7 - KEPT as u64));
        assert!(text.ends_with("xxthe end"));
        tail.push(&vec![b'y'; KEPT * 2 + 1]);
        assert_eq!((tail.text(), tail.kept.len()), ("y".repeat(KEPT), KEPT));
    }

    #[test]
    fn what_was_made_stands_in_the_last_line() {
        for (stdout, expected) in [
            ("", vec![]),
            ("\n\n", vec![]),
            ("making...\nsnap-1\n\n", vec!["snap-1"]),
            ("x\n{\"snapshot_ids\": [\"snap-1\", \"snap-2\"]}\n", vec!["snap-1", "snap-2"]),
            ("{\"other\": 1}", vec!["{\"other\": 1}"]),
        ] {
            assert_eq!(snapshot_ids(stdout), expected, "{stdout}");
        }
    }
}
