//! Chromium, told what to do by `browser.py`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::emulator::python;

const CHECKS: &str = include_str!("checks.js");

/// What happens on a page, step by step, and which of it is asked back.
pub(super) struct Visit {
    file: PathBuf,
    steps: Vec<Value>,
}

/// What a page answered, said, and asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) values: Vec<Value>,
    console: Vec<String>,
    requests: Vec<String>,
    dialogs: Vec<String>,
}

impl Visit {
    /// On a desk, in a light room.
    pub(super) fn to(file: &Path) -> Self {
        Self { file: file.to_owned(), steps: Vec::new() }.size(1280, 900).scheme("light")
    }

    fn step(mut self, step: Value) -> Self {
        self.steps.push(step);
        self
    }

    pub(super) fn size(self, width: u32, height: u32) -> Self {
        self.step(json!({"size": [width, height]}))
    }

    pub(super) fn scheme(self, scheme: &str) -> Self {
        self.step(json!({"scheme": scheme}))
    }

    pub(super) fn press(self, key: &str, times: usize) -> Self {
        (0..times).fold(self, |visit, _| visit.step(json!({"press": key})))
    }

    pub(super) fn write(self, text: &str) -> Self {
        self.step(json!({"type": text}))
    }

    /// A picture beside the file.
    pub(super) fn shot(self, name: &str) -> Self {
        let file = self.file.with_extension(name);
        self.step(json!({"shot": file}))
    }

    /// One of the functions in `checks.js`, with its arguments.
    pub(super) fn ask(self, call: &str) -> Self {
        self.evaluate(&format!("({CHECKS}).{call}"))
    }

    pub(super) fn evaluate(self, script: &str) -> Self {
        self.step(json!({"evaluate": script}))
    }
}

impl Report {
    /// Nothing was said, opened or asked for but the file itself.
    #[track_caller]
    pub(super) fn quiet(&self, visit: &str) {
        assert!(self.console.is_empty(), "{visit}: {:#?}", self.console);
        assert!(self.dialogs.is_empty(), "{visit}: {:?}", self.dialogs);
        assert_eq!(self.requests.len(), 1, "{visit}: {:?}", self.requests);
    }
}

fn chromium() -> PathBuf {
    let told = std::env::var_os("INFRA_TEST_CHROMIUM").map(PathBuf::from);
    told.into_iter()
        .chain(["/usr/bin/chromium".into()])
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("no Chromium; `sh tests/run.sh` installs it, or set INFRA_TEST_CHROMIUM"))
}

/// One browser for all visits; a report for each.
pub(super) fn browse(visits: &[Visit]) -> Vec<Report> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pages/browser.py");
    let mut child = Command::new(python())
        .arg(script)
        .arg(chromium())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let visits: Vec<Value> =
        visits.iter().map(|visit| json!({"file": visit.file, "steps": visit.steps})).collect();
    let mut told = child.stdin.take().unwrap();
    told.write_all(json!(visits).to_string().as_bytes()).unwrap();
    drop(told);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
