//! The snapshot command: found before anything is locked, started with one byte, ended with its whole process group.

mod gate;

use std::{
    env, fs, io,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

pub use gate::gate;
pub(super) use gate::{Gate, open};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};

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
