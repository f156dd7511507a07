//! An environment with a replica set and a backup policy, whose commands write down what they are asked for.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jiff::{SignedDuration, Timestamp, tz::Offset};
use serde_json::{Value, json};

use crate::support::{
    replica_set::{ROOT, SNAPSHOT, escaped, shared::Borrowed, shared::borrow},
    sandbox::{Ran, binary, run},
};

pub(super) struct Project {
    folder: tempfile::TempDir,
    pub(super) set: Borrowed,
    /// What the variable says that the connection string comes from.
    pub(super) uri: String,
    pub(super) variables: Vec<(&'static str, String)>,
    /// Plans and applies are of everything, and not of snapshots alone.
    pub(super) whole: bool,
}

impl Project {
    /// `keep` is that of the policy, which wants a snapshot every six hours and has a `delete_command`.
    pub(super) fn new(keep: &str) -> Self {
        let set = borrow("6.0.5");
        let folder = tempfile::tempdir().unwrap();
        let project = Self { uri: set.uri(ROOT), folder, set, variables: Vec::new(), whole: false };
        // A snapshot's name is not to be used again.
        project.script("snapshot", "echo \"$1\" >>\"$log/taken\"; echo snap-$$-$(date +%N)");
        project.script("delete", "echo \"$1 $2\" >>\"$log/deleted\"");
        project.write(&format!("keep: {keep}"), "");
        project
    }

    /// As somebody who may do no more than a snapshot takes: what cron works as.
    pub(super) fn least(mut self) -> Self {
        self.uri = self.set.uri(SNAPSHOT);
        self
    }

    /// `policy` is what the policy says besides its commands, `head` what the environment says besides the rest.
    pub(super) fn write(&self, policy: &str, head: &str) {
        let hosts: Vec<String> = (self.set.members.iter().enumerate())
            .map(|(at, member)| format!("\"{}\": vm-{at}", member.host))
            .collect();
        let command = |name: &str| self.folder().join(name).display().to_string();
        self.write_raw(&format!(
            "platform: {{local: {{}}}}\n{head}\n\
             mongo_clusters:\n  events: {{uri: {{env: EVENTS}}, backup_policy: often, vm_hosts: {{{}}}}}\n\
             backup_policies:\n  often:\n    mongo:\n      every: 6h\n      \
             snapshot_command: [\"{}\", \"{{host}}\"]\n      delete_command: [\"{}\", \"{{host}}\", \"{{snapshot}}\"]\n      {policy}\n",
            hosts.join(", "),
            command("snapshot"),
            command("delete"),
        ));
    }

    pub(super) fn write_raw(&self, yaml: &str) {
        let folder = self.folder().join("environments/test");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), yaml).unwrap();
    }

    /// What a command of the policy does. It knows its project's folder as `$log`.
    pub(super) fn script(&self, name: &str, body: &str) {
        let path = self.folder().join(name);
        fs::write(&path, format!("#!/bin/sh\nlog='{}'\n{body}\n", self.folder().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The lines that a script has written, in order.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder()).env("INFRA_ENV", "test");
        command.env("EVENTS", &self.uri).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder()).args(arguments).stdin(Stdio::null());
        if !self.whole && ["plan", "apply"].contains(&arguments[0]) {
            command.arg("--target=mongo_snapshot.*");
        }
        command
    }

    /// After every run no member is locked, and no run tells the password.
    #[track_caller]
    pub(super) fn infra(&self, arguments: &[&str]) -> Ran {
        let ran = run(self.command(arguments));
        for secret in [ROOT.1, SNAPSHOT.1] {
            for secret in [secret.to_owned(), escaped(secret)] {
                assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret), "{arguments:?}");
            }
        }
        assert_eq!(self.set.locked(), [0; 0], "{}{}", ran.stdout, ran.stderr);
        ran
    }

    #[track_caller]
    pub(super) fn apply(&self) -> Ran {
        self.infra(&["apply", "--auto-approve"])
    }

    #[track_caller]
    pub(super) fn settled(&self) {
        let ran = self.infra(&["plan", "--detailed-exitcode"]).expect(0);
        assert!(ran.stdout.lines().any(|line| line.starts_with("No changes.")), "{}", ran.stdout);
    }

    #[track_caller]
    pub(super) fn plan(&self) -> Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).expect(0).stdout).unwrap()
    }

    /// What `backup list --json` says of the set.
    #[track_caller]
    pub(super) fn list(&self) -> Value {
        let ran = self.infra(&["backup", "list", "--json"]).expect(0);
        let mut all: Value = serde_json::from_str(&ran.stdout).unwrap();
        all["sets"][0].take()
    }

    fn catalogue(&self) -> PathBuf {
        self.folder().join(".infra/test/snapshots/events")
    }

    /// The documents of the catalogue, by their names.
    pub(super) fn documents(&self) -> Vec<(String, Value)> {
        let Ok(entries) = fs::read_dir(self.catalogue()) else { return Vec::new() };
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        };
        let mut all: Vec<_> = entries.map(|entry| read(entry.unwrap().path())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Puts a snapshot into the catalogue that was taken so many hours ago; its name there.
    pub(super) fn taken_before(&self, hours: i64, status: &str) -> String {
        let at = Timestamp::now() - SignedDuration::from_hours(hours);
        let name = format!("{}-{hours:016x}", Offset::UTC.to_datetime(at).strftime("%Y%m%dT%H%M%SZ"));
        let manifest = json!({
            "schema": 1, "run_id": format!("{hours:016x}"), "tool_version": "infra 0.1.0", "environment": "test",
            "policy": "often", "replica_set": "rs0", "member": self.set.members[1].host, "vm_host": "vm-1",
            "status": status, "consistent": status == "consistent",
            "ending": if status == "consistent" { "consistent" } else { "command_failed" },
            "started_at": at, "locked_at": at, "unlocked_at": at, "ended_at": at, "unlocked": "verified",
            "command": ["snapshot", "vm-1"], "snapshot_ids": [format!("old-{hours}")],
        });
        fs::create_dir_all(self.catalogue()).unwrap();
        fs::write(self.catalogue().join(format!("{name}.json")), manifest.to_string()).unwrap();
        name
    }
}

/// The changes of a plan: address and action.
pub(super) fn changes(plan: &Value) -> Vec<(String, String)> {
    crate::support::sandbox::changes(plan)
}
