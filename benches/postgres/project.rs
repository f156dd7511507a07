//! A project of its own with one local server, and what `infra` takes on it.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    net::TcpListener,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

pub(crate) struct Project {
    folder: tempfile::TempDir,
    /// Where `infra` and every other client connects to.
    pub(crate) port: u16,
}

/// A run of the tool.
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) first_output: Duration,
    pub(crate) output: String,
    pub(crate) code: i32,
}

impl Project {
    /// An empty server.
    pub(crate) fn new() -> Self {
        let mut project = Self::without_server();
        project.declare(0);
        project.infra(&["apply", "--auto-approve"], 0);
        project.port = project.server("port").parse().unwrap();
        project
    }

    pub(crate) fn without_server() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: 0 }
    }

    pub(crate) fn declare(&self, services: usize) {
        let mut yaml = "platform: {local: {}}\nclusters: {main: {}}\n".to_owned();
        if services > 0 {
            yaml += "people: {ana: {}, boris: {}}\n\
                     developer_groups: {backend: {members: [ana, boris], services: all, access: read-only}}\nservices:\n";
            for name in names(services) {
                writeln!(yaml, "  {name}: {{connection_limit: 40}}").unwrap();
            }
        }
        let folder = self.folder.path().join("environments/local");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), yaml).unwrap();
    }

    /// Runs the tool to its end, whose exit code must be this.
    pub(crate) fn infra(&self, arguments: &[&str], code: i32) -> Run {
        let run = self.any_infra(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.output);
        run
    }

    pub(crate) fn any_infra(&self, arguments: &[&str]) -> Run {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = self.command(arguments);
        command.stdout(writer.try_clone().unwrap()).stderr(writer).stdin(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut output = vec![0];
        let some = reader.read(&mut output).unwrap();
        let first_output = begun.elapsed();
        output.truncate(some);
        reader.read_to_end(&mut output).unwrap();
        let status = child.wait().unwrap();
        let time = begun.elapsed();
        let output = String::from_utf8_lossy(&output).into_owned();
        Run { time, first_output, output, code: status.code().unwrap_or(-1) }
    }

    /// The most memory a run has had in use, in MB, as the system counts it while it runs.
    pub(crate) fn memory(&self, arguments: &[&str]) -> f64 {
        let mut child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes =
                line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.parse().ok());
            peak = peak.max(kilobytes.unwrap_or(0_u32));
            std::thread::sleep(Duration::from_millis(1));
        }
        f64::from(peak) / 1024.0
    }

    /// The plan as JSON.
    pub(crate) fn plan(&self) -> Value {
        let output = self.command(&["plan", "--json", "-q"]).stderr(Stdio::null()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("INFRA_ENV", "local")
            .stdin(Stdio::null());
        command
    }

    /// What `infra show` tells of the server.
    fn server(&self, output: &str) -> String {
        let shown = self.command(&["show", "--json"]).stderr(Stdio::null()).output().unwrap();
        let world: Value = serde_json::from_slice(&shown.stdout).unwrap();
        world["found"]["local_server.main"]["outputs"][output].as_str().unwrap().to_owned()
    }

    /// Moves the server to another port, which is told, so that something else can stand where it was.
    pub(crate) fn moved(&self) -> u16 {
        let folder = PathBuf::from(self.server("folder"));
        let data = folder.join("data");
        let process = fs::read_link(format!("/proc/{}/exe", postmaster(&data))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut restart = Command::new(process.with_file_name("pg_ctl"));
        restart.args(["restart", "-w", "-s", "-m", "fast", "-D"]).arg(&data);
        restart.args(["-o", &format!("-c port={port}"), "-l"]).arg(folder.join("server.log"));
        restart.current_dir(&folder).process_group(0);
        let owner = fs::metadata(&data).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            restart.uid(owner.uid()).gid(owner.gid());
        }
        assert!(restart.status().unwrap().success());
        port
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.port != 0 {
            let _ = self.any_infra(&["destroy", "--auto-approve"]);
        }
    }
}

fn postmaster(data: &std::path::Path) -> String {
    fs::read_to_string(data.join("postmaster.pid")).unwrap().lines().next().unwrap().to_owned()
}

pub(crate) fn names(services: usize) -> Vec<String> {
    (1..=services).map(|number| format!("service-{number:03}")).collect()
}
