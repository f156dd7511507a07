//! What can go wrong around a local server, and that nothing is left behind then.

use std::{
    cell::Cell,
    fs,
    future::poll_fn,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    task::Poll,
    time::{Duration, Instant},
};

use infra::providers::{
    ReadWrite,
    local::{Local, LocalError, Search, Spec},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};

use crate::support::{
    local::{Project, parameters, postmaster, processes_under, quiet, show, spec},
    postgres,
};

#[tokio::test]
async fn no_binary() {
    let mut project = Project::new(&[]);
    let empty = tempfile::tempdir().unwrap();
    project.search = Search::only([empty.path().to_path_buf()]);
    let error = project.writer().create(&spec("main"), &quiet).await.unwrap_err();
    assert_eq!(error.to_string(), "no PostgreSQL server program was found on this machine");
    assert!(error.hint().unwrap().contains("apt-get install postgresql"));
    project.assert_clean();
}

#[tokio::test]
async fn a_taken_port() {
    let project = Project::new(&["17"]);
    let local = project.writer();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let error = local.create(&Spec { port: Some(port), ..spec("main") }, &quiet).await.unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert!(error.hint().unwrap().contains("clusters.main.connection.port"));
    project.assert_clean();

    // The usual port of a name is passed over when somebody has it; a server's own port is not.
    let usual = local.create(&spec("main"), &quiet).await.unwrap();
    local.destroy("main", &quiet).await.unwrap();
    let other = TcpListener::bind(("127.0.0.1", usual.port)).unwrap();
    let next = local.create(&spec("main"), &quiet).await.unwrap();
    assert_ne!(next.port, usual.port);
    drop(other);
    local.stop("main", &quiet).await.unwrap();
    let other = TcpListener::bind(("127.0.0.1", next.port)).unwrap();
    let error = local.start("main", &quiet).await.unwrap_err();
    assert!(matches!(error, LocalError::PortTaken { port, .. } if port == next.port), "{error}");
    drop(other);
    local.start("main", &quiet).await.unwrap();
    local.destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

#[tokio::test]
async fn stale_pid_files() {
    let project = Project::new(&["17"]);
    let local = project.writer();
    let server = local.create(&spec("main"), &quiet).await.unwrap();
    let owner = server.folder.metadata().unwrap();
    let pid_file = server.folder.join("data/postmaster.pid");
    // Somebody of the same user has the number now, which makes PostgreSQL itself refuse; or nobody; or it is garbled.
    let mut sleeper = Command::new("sleep").arg("600").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    for number in [Some(sleeper.id()), None, Some(0)] {
        let text = fs::read_to_string(&pid_file).unwrap();
        kill(Pid::from_raw(postmaster(&server)), Signal::SIGKILL).unwrap();
        wait_until(|| processes_under(&server.folder).is_empty());
        if let Some(number) = number {
            let text = text.split_once('\n').map(|(_, rest)| format!("{number}\n{rest}")).unwrap();
            fs::write(&pid_file, text).unwrap();
        }
        assert!(!project.servers().await[0].running);
        assert!(local.start("main", &quiet).await.unwrap().running);
        assert_eq!(show(&server, "SELECT 'up'").await, "up");
    }
    assert!(sleeper.try_wait().unwrap().is_none(), "a process that is not ours was ended");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    local.destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let project = Project::new(&["17"]);
    let local = project.writer();
    let foreign = project.servers_folder().join("main");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("precious"), "").unwrap();
    assert_eq!(project.servers().await, []);
    for error in [
        local.create(&spec("main"), &quiet).await.unwrap_err(),
        local.destroy("main", &quiet).await.unwrap_err(),
        local.start("main", &quiet).await.unwrap_err(),
    ] {
        assert!(matches!(error, LocalError::NotOurs { .. }), "{error}");
    }
    assert!(foreign.join("precious").exists());
    fs::remove_dir_all(&foreign).unwrap();
    local.clear_abandoned().await.unwrap();
    project.assert_clean();
}

#[tokio::test]
async fn bad_parameters_leave_nothing() {
    let project = Project::new(&["17"]);
    for (name, value) in [
        ("work_mem", "1\n2"),
        ("port", "1"),
        ("no_such_thing", "1"),
        ("shared_preload_libraries", "no_such_library"),
    ] {
        let wanted = Spec { parameters: parameters(&[(name, value)]), ..spec("main") };
        let error = project.writer().create(&wanted, &quiet).await.unwrap_err();
        assert!(error.to_string().contains(name) || error.to_string().contains(value), "{error}");
        project.assert_clean();
    }
}

/// Deeper than a socket's address can say, and with characters that shells and lists take for something else.
#[tokio::test]
async fn odd_and_deep_folders() {
    let mut project = Project::new(&["17"]);
    project.environment = "e".repeat(60);
    project.folder.push("a $(touch owned) `id` 'b', \"c\"");
    fs::create_dir(&project.folder).unwrap();
    let local = project.writer();
    let server = local.create(&spec(&"n".repeat(60)), &quiet).await.unwrap();
    assert_eq!(show(&server, "SELECT 'up'").await, "up");
    let socket = show(&server, "SHOW unix_socket_directories").await;
    assert!(socket.starts_with("/tmp/infra-"), "{socket}");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    let server =
        local.configure(&server.name, &parameters(&[("max_connections", "20")]), None, &quiet).await.unwrap();
    assert_eq!(show(&server, "SHOW max_connections").await, "20");
    local.destroy(&server.name, &quiet).await.unwrap();
    assert!(!Path::new(&socket).exists());
    project.assert_clean();
}

/// A run that ends in the middle of a change: the plan shows the change again, and the next run makes it.
#[tokio::test]
async fn abandoned_during_configure() {
    let project = Project::new(&["17"]);
    let local = project.writer();
    local.create(&spec("main"), &quiet).await.unwrap();
    let wanted = parameters(&[("max_connections", "50")]);
    let restarting = Cell::new(false);
    let progress = |text: &str| restarting.set(text == "restarting it");
    let mut change = Box::pin(local.configure("main", &wanted, None, &progress));
    poll_fn(|context| match change.as_mut().poll(context) {
        Poll::Ready(_) => panic!("it was to be abandoned"),
        Poll::Pending if restarting.get() => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
    drop(change);
    wait_until(|| processes_under(&project.base()).is_empty());
    let seen = project.servers().await.remove(0);
    assert_eq!((seen.parameters, seen.running), (parameters(&[]), false));
    local.configure("main", &wanted, None, &quiet).await.unwrap();
    let server = local.start("main", &quiet).await.unwrap();
    assert_eq!(server.parameters, wanted);
    assert_eq!(show(&server, "SHOW max_connections").await, "50");
    local.destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

/// Not a test of its own: what other tests run as another process. The first line it prints says that it is done.
#[tokio::test]
async fn a_child() {
    let Some(folder) = std::env::var_os("INFRA_TEST_CHILD") else { return };
    let local =
        Local::<ReadWrite>::new(Path::new(&folder), "local").searching(Search::only([postgres("17")]));
    local.create(&spec("main"), &quiet).await.unwrap();
}

fn child(project: &Project, output: Stdio) -> Child {
    start(project, output, Stdio::inherit())
}

fn start(project: &Project, output: Stdio, errors: Stdio) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "local::trouble::a_child", "--nocapture"])
        .env("INFRA_TEST_CHILD", &project.folder);
    command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0).spawn().unwrap()
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < end, "it never came to that");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `infra apply | cat` ends although the server goes on, and the server outlives its maker's process group.
#[tokio::test]
async fn a_server_survives_and_holds_no_pipe() {
    let project = Project::new(&["17"]);
    let clock = Instant::now();
    let output = child(&project, Stdio::piped()).wait_with_output().unwrap();
    assert!(output.status.success() && clock.elapsed() < Duration::from_mins(1));
    let server = project.servers().await.remove(0);
    assert!(server.running);
    let number = postmaster(&server);
    assert_eq!(nix::unistd::getpgid(Some(Pid::from_raw(number))).unwrap().as_raw(), number);
    for descriptor in 0..3 {
        let open = fs::read_link(format!("/proc/{number}/fd/{descriptor}")).unwrap();
        assert!(open == Path::new("/dev/null") || open.starts_with(&server.folder), "{open:?}");
    }
    project.writer().destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

/// Killed at moments all over its making: there is no half server, and the next attempt clears up.
#[tokio::test]
async fn killed_during_create() {
    let project = Project::new(&["17"]);
    let local = project.writer();
    for stage in ["data", "data/global/pg_control", "data/infra.conf", "data/postmaster.pid", "server.json"] {
        let mut child = child(&project, Stdio::null());
        let unfinished = || -> Vec<PathBuf> {
            let entries = fs::read_dir(project.servers_folder()).into_iter().flatten().flatten();
            entries
                .map(|entry| entry.path())
                .filter(|path| path.to_string_lossy().contains("/.new-main."))
                .collect()
        };
        wait_until(|| {
            unfinished().iter().any(|folder| folder.join(stage).exists())
                || child.try_wait().unwrap().is_some()
        });
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let _ = kill(group, Signal::SIGKILL);
        child.wait().unwrap();
        let servers = project.servers().await;
        // The last stage is followed by the final name at once; then the server is whole and was only not started yet.
        if servers.is_empty() {
            local.create(&spec("main"), &quiet).await.unwrap();
        } else {
            assert_eq!(stage, "server.json");
            local.start("main", &quiet).await.unwrap();
        }
        assert_eq!(unfinished(), Vec::<PathBuf>::new());
        assert_eq!(show(&project.servers().await[0], "SELECT 'up'").await, "up");
        local.destroy("main", &quiet).await.unwrap();
        project.assert_clean();
    }
    // Destroying is enough, too.
    let mut child = child(&project, Stdio::null());
    wait_until(|| project.servers_folder().exists());
    std::thread::sleep(Duration::from_millis(300));
    let _ = child.kill();
    child.wait().unwrap();
    local.clear_abandoned().await.unwrap();
    if let Ok(()) = local.destroy("main", &quiet).await {}
    project.assert_clean();
}

/// Whoever is first makes it undisturbed, however close the other is behind him.
#[tokio::test]
async fn two_runs_make_the_same_server() {
    let project = Project::new(&["17"]);
    let mut child = child(&project, Stdio::null());
    wait_until(|| fs::read_dir(project.servers_folder()).is_ok_and(|mut it| it.next().is_some()));
    let error = project.writer().create(&spec("main"), &quiet).await.unwrap_err();
    assert!(matches!(error, LocalError::Busy { .. } | LocalError::Exists { .. }), "{error}");
    assert!(child.wait().unwrap().success(), "the other was disturbed");
    project.writer().destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

/// Eight at the same moment: one of them makes it.
#[tokio::test]
async fn many_runs_make_the_same_server() {
    let project = Project::new(&["17"]);
    let children: Vec<Child> = (0..8).map(|_| start(&project, Stdio::null(), Stdio::null())).collect();
    let ended = children.into_iter().map(|mut child| child.wait().unwrap());
    assert_eq!(ended.filter(ExitStatus::success).count(), 1);
    assert_eq!(show(&project.servers().await[0], "SELECT 'up'").await, "up");
    project.writer().destroy("main", &quiet).await.unwrap();
    project.assert_clean();
}

/// Another disk in the place of the servers, as small as one likes; taken away again at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(folder: PathBuf, megabytes: u32) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        assert!(
            mounted.is_ok_and(|it| it.success()),
            "this test mounts a tmpfs: run it as root, in a container with --privileged"
        );
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn full_disk() {
    if !Uid::effective().is_root() {
        return as_root("local::trouble::full_disk");
    }
    let disk; // taken away after what is on it
    let project = Project::new(&["17"]);
    let local = project.writer();
    disk = SmallDisk::new(project.servers_folder(), 80);
    let filler = disk.0.join("filler");
    let fill = || {
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    };
    // Full in initdb, and full when the new server first starts.
    for stage in ["initialising", "making its roles"] {
        let when = |text: &str| {
            if text.starts_with(stage) {
                fill();
            }
        };
        let error = local.create(&spec("main"), &when).await.unwrap_err();
        assert!(matches!(&error, LocalError::DiskFull { .. }), "{stage}: {error}");
        assert!(error.hint().unwrap().contains(disk.0.to_str().unwrap()), "{error}");
        fs::remove_file(&filler).unwrap();
        assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "{stage}: the room is given back");
    }
    // A server that has data is kept.
    local.create(&spec("main"), &quiet).await.unwrap();
    local.stop("main", &quiet).await.unwrap();
    fill();
    let error = local.start("main", &quiet).await.unwrap_err();
    assert!(matches!(&error, LocalError::DiskFull { .. }), "{error}");
    let error = local.configure("main", &parameters(&[("work_mem", "8MB")]), None, &quiet).await.unwrap_err();
    assert!(matches!(&error, LocalError::DiskFull { .. }), "{error}");
    fs::remove_file(&filler).unwrap();
    let server = local.start("main", &quiet).await.unwrap();
    assert_eq!(server.parameters, parameters(&[]));
    local.destroy("main", &quiet).await.unwrap();
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
    drop(disk);
    local.clear_abandoned().await.unwrap();
    project.assert_clean();
}

/// Everything once more as an ordinary user, when we are root, and the other way round.
#[test]
fn as_the_other_user() {
    if Uid::effective().is_root() {
        as_nobody(&["local::"]);
    } else {
        as_root("local::lifecycle_15");
    }
}

fn as_nobody(tests: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    chown(home.path(), Some(65_534), Some(65_534)).unwrap();
    let mut command = Command::new(program);
    for major in ["15", "16", "17", "18"] {
        command.env(format!("INFRA_TEST_POSTGRES_{major}"), postgres(major));
    }
    command
        .args(tests)
        .args(["--skip", "full_disk", "--skip", "as_the_other_user"])
        .current_dir(home.path())
        .uid(65_534)
        .gid(65_534);
    let output = command.env("TMPDIR", home.path()).env("HOME", home.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains(" 0 passed"), "as nobody:\n{text}");
}

fn as_root(name: &str) {
    let mut command = Command::new("sudo");
    command.args(["-n", "env"]);
    for major in ["15", "16", "17", "18"] {
        command.arg(format!("INFRA_TEST_POSTGRES_{major}={}", postgres(major).display()));
    }
    let output = command.arg(std::env::current_exe().unwrap()).args(["--exact", name]).output();
    let output = output.expect("this test needs root: run it as root, or install sudo");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this test needs root: run it as root, or where sudo asks for no password\n{text}"
    );
}
