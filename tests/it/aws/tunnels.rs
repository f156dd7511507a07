//! Tunnels: opened when they are needed, shared, and gone afterwards.

use std::{path::PathBuf, time::Duration};

use infra::{
    model::environment::Tls,
    providers::{
        ReadOnly,
        postgres::{Login, PLANNER, Postgres, Route},
    },
};

use super::server::{HOST, PORT, Server, endpoint, iam, login, refused, routes};
use crate::support::emulator::python;

/// A tunnel through a forwarder that notes its number and its arguments.
struct Tunnelled {
    notes: PathBuf,
    _folder: tempfile::TempDir,
    login: Login,
}

impl Tunnelled {
    fn new(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/aws/forward.py");
        // A child of its own, as a shell or a wrapper leaves one behind.
        let shell = format!("echo starting >&2; '{}' \"$@\" & wait", python().display());
        let (port, path) = (server.stand_in.port().to_string(), notes.display().to_string());
        let command = ["sh", "-c", &shell, "sh", script, "{local_port}", &port, &path, "{host}:{port}"]
            .map(str::to_owned);
        let route = Route::new(Tls::VerifyFull, Some(server.stand_in.ca_file())).tunnel(command.to_vec());
        Self { notes, _folder: folder, login: login(PLANNER, iam(), routes(route)) }
    }

    /// Numbers of the forwarders that were started, and what the command was given.
    fn started(&self) -> Vec<(i32, String)> {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        let line =
            |line: &str| line.split_once(' ').map(|(pid, rest)| (pid.parse().unwrap(), rest.to_owned()));
        notes.lines().filter_map(line).collect()
    }
}

/// Whether a process is there and no mere entry that waits to be collected.
fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// The members of a process's group, its leader first.
fn group(pid: i32) -> Vec<i32> {
    let of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(2)?.parse::<i32>().ok()
    };
    let wanted = of(pid);
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let mut members: Vec<i32> = all.filter(|other| of(*other) == wanted).collect();
    members.sort_by_key(|pid| Some(*pid) != wanted);
    members
}

async fn ended(pids: &[i32]) {
    for _ in 0..60 {
        if !pids.iter().any(|pid| runs(*pid)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still there: {:?}", pids.iter().filter(|pid| runs(**pid)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tunnel_is_shared_and_ends_with_all_it_started() {
    let (server, _) = Server::bootstrapped().await;
    let tunnelled = Tunnelled::new(&server);
    let planner = Postgres::<ReadOnly>::new(tunnelled.login.clone());
    let other = Postgres::<ReadOnly>::new(tunnelled.login.clone());
    assert!(tunnelled.started().is_empty());
    let (endpoint, none) = (endpoint(), std::collections::BTreeSet::new());
    // The token is for the cluster, and the certificate has its name, wherever the socket leads.
    let reads = futures::future::join_all((0..6).map(|_| planner.read("main", &endpoint, &none))).await;
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    other.ping(&endpoint).await.unwrap();
    let started = tunnelled.started();
    let [(pid, given)] = &started[..] else { panic!("{started:?}") };
    assert_eq!(*given, format!("{HOST}:{PORT}"));
    let members = group(*pid);
    assert!(
        members.len() >= 3 && !members.contains(&i32::try_from(std::process::id()).unwrap()),
        "{members:?}"
    );
    planner.close().await;
    // All are told to end before it returns; the kernel takes its time.
    ended(&members).await;
    // One that has ended is started again, be it closed or killed.
    other.ping(&endpoint).await.unwrap();
    let again = group(tunnelled.started()[1].0);
    let killed = again.iter().filter(|pid| **pid != again[0]);
    killed.for_each(|pid| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::SIGKILL).unwrap();
    });
    ended(&again[1..]).await;
    other.ping(&endpoint).await.unwrap();
    assert_eq!(tunnelled.started().len(), 3);
    // Without a goodbye, too.
    let members = group(tunnelled.started()[2].0);
    assert!(members.len() >= 3);
    let Tunnelled { login, _folder, .. } = tunnelled;
    drop((planner, other, login));
    ended(&members).await;
    ended(&again).await;
}

#[tokio::test]
async fn a_tunnel_that_does_not_open_says_why() {
    let tell = async |command: &[&str]| {
        let route =
            Route::new(Tls::VerifyFull, None).tunnel(command.iter().map(ToString::to_string).collect());
        refused(login(PLANNER, iam(), routes(route)), &endpoint()).await
    };
    let prefix = format!("cannot connect to database postgres as infra_planner at {HOST}:5432: ");
    let early = ["sh", "-c", "echo one; echo \"no route to $0\" >&2; exit 3", "{host}", "{local_port}"];
    assert_eq!(
        tell(&early).await,
        format!(
            "{prefix}connection.tunnel (sh): it ended before it took a connection (exit status: 3): the tunnel said: one; \
             no route to {HOST}"
        )
    );
    assert_eq!(
        tell(&["no-such-program-here", "{local_port}"]).await,
        format!("{prefix}connection.tunnel (no-such-program-here): No such file or directory (os error 2)")
    );
    let told = tell(&["true", "{local_port}"]).await;
    assert!(told.ends_with("(exit status: 0); it has to stay in the foreground"), "{told}");
    // What takes connections and cannot pass them on tells so only on its own output.
    let deaf = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
                while True: c = s.accept()[0]; print('open failed: no such host', flush=True); c.close()";
    let told = tell(&[&python().display().to_string(), "-c", deaf, "{local_port}"]).await;
    assert!(told.ends_with(": the tunnel said: open failed: no such host"), "{told}");
    let begun = std::time::Instant::now();
    let told = tell(&["sh", "-c", "echo waiting; sleep 600", "{local_port}"]).await;
    assert!(
        told.contains(" within 15 s: the tunnel said: waiting") && begun.elapsed() < Duration::from_secs(18),
        "{told}"
    );
}

/// A process that no failure leaves behind.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This very test, started again, opens a tunnel and is killed.
#[tokio::test]
async fn a_killed_process_leaves_no_tunnel() {
    const NOTES: &str = "INFRA_TEST_TUNNEL_NOTES";
    if let Ok(notes) = std::env::var(NOTES) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/aws/forward.py");
        let command = [&python().display().to_string(), script, "{local_port}", "1", &notes]
            .map(str::to_owned)
            .to_vec();
        let route = Route::new(Tls::VerifyFull, None).tunnel(command);
        let planner = Postgres::<ReadOnly>::new(login(PLANNER, iam(), routes(route)));
        let _ = planner.ping(&endpoint()).await;
        std::future::pending::<()>().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "aws::tunnels::a_killed_process_leaves_no_tunnel"])
        .env(NOTES, &notes)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut process = Killed(process.unwrap());
    let mut forwarder = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let text = std::fs::read_to_string(&notes).unwrap_or_default();
        forwarder = text.split_once(' ').map(|(pid, _)| pid.parse::<i32>().unwrap());
        if forwarder.is_some() {
            break;
        }
    }
    let members = group(forwarder.expect("it was started"));
    assert!(members.len() >= 2 && members.iter().all(|pid| runs(*pid)), "{members:?}");
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    ended(&members).await;
}
