//! Local servers, end to end: real PostgreSQL of four major versions, as root and as an ordinary user.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use infra::providers::{
    ReadOnly, ReadWrite,
    local::{Local, LocalError, Search, Server, Spec},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::support::postgres;

/// A project in a folder of its own. What is left of its servers when a test fails is removed with it.
struct Project {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
    environment: String,
    search: Search,
}

impl Project {
    fn new(majors: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let search = Search::only(majors.iter().map(|major| postgres(major)));
        let folder = temporary.path().canonicalize().unwrap();
        Self { folder, _temporary: temporary, environment: "local".into(), search }
    }

    fn writer(&self) -> Local<ReadWrite> {
        Local::<ReadWrite>::new(&self.folder, &self.environment).searching(self.search.clone())
    }

    async fn servers(&self) -> Vec<Server> {
        Local::<ReadOnly>::new(&self.folder, &self.environment).servers().await.unwrap()
    }

    /// The folder that holds everything of this project, server folders included.
    fn base(&self) -> PathBuf {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(self.folder.as_os_str().as_encoded_bytes());
        let hash: String =
            digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        if Uid::effective().is_root() {
            Path::new("/var/lib/infra").join(hash)
        } else {
            self.folder.join(".infra")
        }
    }

    fn servers_folder(&self) -> PathBuf {
        let base = self.base().join(&self.environment);
        if Uid::effective().is_root() { base } else { base.join("servers") }
    }

    /// Nothing is left: no folder, no process.
    fn assert_clean(&self) {
        assert!(
            !self.base().exists(),
            "left behind: {:?}",
            fs::read_dir(self.base()).unwrap().collect::<Vec<_>>()
        );
        assert_eq!(processes_under(&self.base()), Vec::<i32>::new());
        assert_eq!(fs::read_dir(&self.folder).unwrap().count(), 0);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let local = self.writer();
        let clear = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for server in local.servers().await.unwrap_or_default() {
                    let _ = local.destroy(&server.name, &quiet).await;
                }
                let _ = local.clear_abandoned().await;
            });
        };
        let _ = std::thread::spawn(clear).join();
    }
}

fn quiet(_: &str) {}

fn spec(name: &str) -> Spec {
    Spec { name: name.into(), ..Spec::default() }
}

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

async fn connect(server: &Server, user: &str, database: &str) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port)
        .username(user)
        .password("")
        .database(database);
    PgConnection::connect_with(&options).await
}

async fn run(server: &Server, user: &str, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut connect(server, user, "postgres").await.unwrap()).await.unwrap();
}

async fn show(server: &Server, sql: &'static str) -> String {
    sqlx::query_scalar(sql)
        .fetch_one(&mut connect(server, "infra_admin", "postgres").await.unwrap())
        .await
        .unwrap()
}

/// Processes that work somewhere under a folder.
fn processes_under(folder: &Path) -> Vec<i32> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

fn postmaster(server: &Server) -> i32 {
    let text = fs::read_to_string(server.folder.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

async fn lifecycle(major: &str) {
    let project = Project::new(&[major]);
    let local = project.writer();
    assert_eq!(project.servers().await, []);

    let wanted = Spec {
        version: Some(major.into()),
        parameters: parameters(&[("log_min_duration_statement", "500")]),
        ..spec("main")
    };
    let clock = Instant::now();
    let main = local.create(&wanted, &quiet).await.unwrap();
    eprintln!("{}: created in {:.2?}", main.version, clock.elapsed());
    assert_eq!(main.version, local.newest_version(Some(major)).unwrap());
    assert_eq!(main.version_num / 10_000, major.parse::<u32>().unwrap());
    assert_eq!((main.name.as_str(), main.environment.as_str(), main.running), ("main", "local", true));
    assert_eq!(main.folder.metadata().unwrap().mode() & 0o777, 0o700);
    assert_ne!(main.folder.metadata().unwrap().uid(), 0, "PostgreSQL does not run as root");
    assert_eq!(show(&main, "SHOW log_min_duration_statement").await, "500ms");
    assert_eq!(show(&main, "SHOW server_version_num").await, main.version_num.to_string());
    assert_eq!(show(&main, "SHOW data_checksums").await, "on");
    assert_eq!(show(&main, "SHOW listen_addresses").await, "127.0.0.1");
    let again = local.create(&wanted, &quiet).await.unwrap_err();
    assert!(matches!(again, LocalError::Exists { .. }), "{again}");
    like_aurora(&main).await;

    let events = local.create(&spec("events"), &quiet).await.unwrap();
    assert_ne!(events.port, main.port);
    assert_eq!(project.servers().await, [events.clone(), main.clone()]);

    // A reload is enough for the first; the second needs a restart; what is left out goes back to its default.
    let pid = postmaster(&main);
    let odd = r#"it's \ "odd" # and ${HOME}"#;
    let first = parameters(&[("infra.note", odd), ("work_mem", "8MB")]);
    let main = local.configure("main", &first, None, &quiet).await.unwrap();
    assert_eq!((postmaster(&main), &main.parameters), (pid, &first));
    assert_eq!(show(&main, "SHOW infra.note").await, odd);
    assert_eq!(show(&main, "SHOW work_mem").await, "8MB");
    assert_eq!(show(&main, "SHOW log_min_duration_statement").await, "-1");
    let main =
        local.configure("main", &parameters(&[("max_connections", "50")]), None, &quiet).await.unwrap();
    assert_ne!(postmaster(&main), pid);
    assert_eq!(show(&main, "SHOW max_connections").await, "50");
    assert_eq!(show(&main, "SHOW work_mem").await, "4MB");

    // What PostgreSQL refuses changes nothing, whether it says so before or only when it starts.
    for bad in [("no_such_thing", "1"), ("work_mem", "many"), ("shared_preload_libraries", "no_such_library")]
    {
        let error = local.configure("main", &parameters(&[bad]), None, &quiet).await.unwrap_err();
        assert!(error.to_string().contains(bad.0) || error.to_string().contains(bad.1), "{error}");
        assert_eq!(project.servers().await, [events.clone(), main.clone()]);
        assert_eq!(show(&main, "SHOW max_connections").await, "50");
    }

    local.stop("main", &quiet).await.unwrap();
    local.stop("main", &quiet).await.unwrap();
    assert!(connect(&main, "infra_admin", "postgres").await.is_err());
    assert_eq!(
        project.servers().await.iter().map(|server| server.running).collect::<Vec<_>>(),
        [true, false]
    );
    let clock = Instant::now();
    assert_eq!(local.start("main", &quiet).await.unwrap(), main);
    eprintln!("{}: started in {:.2?}", main.version, clock.elapsed());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let moved = local.configure("main", &main.parameters, Some(free), &quiet).await.unwrap();
    assert_eq!(moved, Server { port: free, ..main });
    assert_eq!(show(&moved, "SHOW port").await, free.to_string());

    // A change by hand is seen.
    let conf = moved.folder.join("data/infra.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text + "work_mem = 9MB # by hand\n").unwrap();
    assert_eq!(
        project.servers().await[1].parameters,
        parameters(&[("max_connections", "50"), ("work_mem", "9MB")])
    );

    let clock = Instant::now();
    local.destroy("main", &quiet).await.unwrap();
    eprintln!("{}: destroyed in {:.2?}", moved.version, clock.elapsed());
    assert_eq!(project.servers().await, [events]);
    local.destroy("events", &quiet).await.unwrap();
    project.assert_clean();
    let error = local.destroy("events", &quiet).await.unwrap_err();
    assert!(matches!(error, LocalError::Missing { .. }), "{error}");
}

/// The things infra relies on, as the reference for Aurora has them.
async fn like_aurora(server: &Server) {
    let refused = connect(server, "rdsadmin", "postgres").await.unwrap_err();
    assert!(refused.to_string().contains("pg_hba.conf rejects"), "{refused}");
    let superusers = "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper";
    assert_eq!(show(server, superusers).await, "rdsadmin");
    assert!(connect(server, "infra_planner", "template1").await.is_err());
    // Makes a service as apply does: roles, rds_iam, a database.
    run(
        server,
        "infra_admin",
        "CREATE ROLE svc_o_owner NOLOGIN; CREATE ROLE svc_o_app LOGIN; GRANT rds_iam TO svc_o_app",
    )
    .await;
    if server.version_num >= 160_000 {
        run(server, "infra_admin", "GRANT svc_o_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").await;
    } else {
        run(server, "infra_admin", "GRANT svc_o_owner TO CURRENT_USER").await;
    }
    run(server, "infra_admin", "CREATE DATABASE o OWNER svc_o_owner TEMPLATE template0").await;
    assert!(connect(server, "svc_o_app", "o").await.is_ok());
    let refused = connect(server, "svc_o_app", "postgres").await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    let refused = sqlx::raw_sql("CREATE ROLE x")
        .execute(&mut connect(server, "infra_planner", "postgres").await.unwrap())
        .await;
    assert!(refused.unwrap_err().to_string().contains("permission denied"));
    run(server, "infra_admin", "DROP DATABASE o").await;
    run(server, "infra_admin", "DROP ROLE svc_o_owner, svc_o_app").await;
}

#[tokio::test]
async fn lifecycle_15() {
    lifecycle("15").await;
}

#[tokio::test]
async fn lifecycle_16() {
    lifecycle("16").await;
}

#[tokio::test]
async fn lifecycle_17() {
    lifecycle("17").await;
}

#[tokio::test]
async fn lifecycle_18() {
    lifecycle("18").await;
}

#[tokio::test]
async fn the_newest_that_satisfies_is_taken() {
    let project = Project::new(&["16", "18", "15", "17"]);
    let local = project.writer();
    for (prefix, expected) in [(None, "18."), (Some("16"), "16."), (Some("15"), "15.")] {
        let version = local.newest_version(prefix).unwrap();
        assert!(version.starts_with(expected), "{prefix:?} {version}");
    }
    let error = local.newest_version(Some("16.1")).unwrap_err();
    assert!(matches!(&error, LocalError::NoVersion { found, .. } if found.len() == 4), "{error}");
    assert!(error.hint().unwrap().contains("apt-get install postgresql-16"));
}

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

/// Not a test of its own: what other tests run as another process. The first line it prints says that it is done.
#[tokio::test]
async fn a_child() {
    let Some(folder) = std::env::var_os("INFRA_TEST_CHILD") else { return };
    let local =
        Local::<ReadWrite>::new(Path::new(&folder), "local").searching(Search::only([postgres("17")]));
    local.create(&spec("main"), &quiet).await.unwrap();
}

fn child(project: &Project, output: Stdio) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "local::a_child", "--nocapture"]).env("INFRA_TEST_CHILD", &project.folder);
    command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::inherit()).process_group(0).spawn().unwrap()
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
        return as_root("local::full_disk");
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
        as_nobody(&[
            "local::lifecycle",
            "local::stale_pid",
            "local::odd_and",
            "local::killed",
            "local::a_taken",
            "local::what_is",
        ]);
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
    command.args(tests).args(["--skip", "local::full_disk"]).current_dir(home.path()).uid(65_534).gid(65_534);
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
