//! Plans on pull requests, on a GitHub and a GitLab of our own.

mod apply;
mod forge;
mod logs;
mod post;

use std::{fs, path::Path};

use serde_json::{Value, json};

use self::forge::Running;
use crate::support::sandbox::{Ran, Sandbox, binary, run};

/// A folder with saved plans, and no project: whoever comments has neither YAML nor credentials.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A plan of one environment; each address is destroyed, or created behind a `+`.
    pub(crate) fn plan(&self, environment: &str, digest: char, addresses: &[&str]) -> String {
        let change = |text: &&str| {
            let address = text.trim_start_matches('+');
            let (kind, name) = address.split_once('.').unwrap();
            let (actions, before, after) = if text.starts_with('+') {
                (json!(["create"]), Value::Null, json!({"login": true}))
            } else {
                (json!(["delete"]), json!({"login": true}), Value::Null)
            };
            let change = json!({"actions": actions, "before": before, "after": after, "after_unknown": {}});
            json!({"address": address, "type": kind, "name": name, "change": change, "effects": [], "after": []})
        };
        let changes: Vec<Value> = addresses.iter().map(change).collect();
        let create = addresses.iter().filter(|address| address.starts_with('+')).count();
        let delete = addresses.len() - create;
        let plan = json!({
            "format_version": "1.0", "infra_version": "0.1.0", "environment": environment,
            "digest": digest.to_string().repeat(64), "protect": false, "applyable": true, "complete": true,
            "errored": false, "resource_changes": changes, "held": [], "unmanaged": [], "guards": [],
            "counts": {"create": create, "update": 0, "replace": 0, "delete": delete, "hold": 0, "keep": 3},
            "left_out": 0, "order": [], "options": {"targets": [], "excludes": [], "destroy": false},
        });
        let name = format!("{environment}-{digest}.json");
        fs::write(self.path().join(&name), plan.to_string()).unwrap();
        name
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// `infra comment` in a job of this forge, with other variables on top.
    pub(crate) fn comment(&self, forge: &Running, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        self.infra(forge, &[&["comment"], arguments].concat(), more)
    }

    pub(crate) fn infra(&self, forge: &Running, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        let mut command = std::process::Command::new(binary());
        command.env_clear().envs(forge.variables()).envs(more.iter().copied());
        command.current_dir(self.path()).args(arguments).stdin(std::process::Stdio::null());
        let ran = run(command);
        assert!(
            !ran.stdout.contains("canary") && !ran.stderr.contains("canary"),
            "the token was told: {ran:?}"
        );
        ran
    }
}

/// A local environment in a job of this forge.
pub(crate) fn in_job(sandbox: &Sandbox, forge: &Running, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
    let mut command = sandbox.command(arguments);
    command.envs(forge.variables()).envs(more.iter().copied());
    run(command)
}
