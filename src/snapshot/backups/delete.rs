//! The command that deletes a snapshot.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// Nobody waits behind it but other deletions, and storage may be slow.
const LIMIT: Duration = Duration::from_mins(10);
/// So much of what it said is told.
const TOLD: usize = 500;

/// Runs it to its end; or says why that was no success.
pub(super) async fn run(
    words: &[String],
    host: &str,
    snapshot: &str,
    hidden: &[String],
) -> Result<(), String> {
    let mut words = filled(words, host, snapshot).into_iter();
    let program = words.next().ok_or("the delete_command names no program")?;
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for variable in hidden {
        command.env_remove(variable);
    }
    let child = command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
    match timeout(LIMIT, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(if output.stderr.is_empty() {
                &output.stdout
            } else {
                &output.stderr
            });
            let said: Vec<char> = said.trim().chars().collect();
            let end: String = said[said.len().saturating_sub(TOLD)..].iter().collect();
            let said = if end.is_empty() { String::new() } else { format!(": {end}") };
            Err(format!("{program} ended with {}{said}", output.status))
        }
        Ok(Err(error)) => Err(format!("{program} cannot be waited for: {error}")),
        Err(_) => Err(format!("{program} did not end within {} minutes", LIMIT.as_secs() / 60)),
    }
}

/// The words with the machine and the snapshot filled in.
pub fn filled(words: &[String], host: &str, snapshot: &str) -> Vec<String> {
    words.iter().map(|word| word.replace("{host}", host).replace("{snapshot}", snapshot)).collect()
}
