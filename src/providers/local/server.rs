//! One server's life: made, started, asked about, removed. Everything here works on a folder and knows no environment.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions, postgres::PgSslMode};

use super::{
    binaries::Binaries,
    error::{LocalError, says_disk_full},
    layout, process,
    user::Account,
};

/// What a start on a slow disk may take, recovery after a crash included.
const START: Duration = Duration::from_mins(1);
/// initdb writes about 40 MB and syncs them.
const INITDB: Duration = Duration::from_mins(3);
/// Connecting over the socket, and one statement there.
const SQL: Duration = Duration::from_secs(20);

/// Makes the data folder. C.UTF-8 sorts the same everywhere; systems that lack it get C, which sorts alike.
pub(super) async fn initdb(binaries: &Binaries, folder: &Path, account: &Account) -> Result<(), LocalError> {
    let run = async |locale: &str| {
        let mut command = account.command(binaries.folder.join("initdb"), folder);
        command.arg("-D").arg(layout::data(folder));
        command.args(["-U", "rdsadmin", "-A", "trust", "-E", "UTF8", "--data-checksums"]);
        command.arg(format!("--locale={locale}"));
        output(command, "initdb", INITDB).await
    };
    let mut made = run("C.UTF-8").await?;
    if !made.status.success() && text(&made).contains("locale name") {
        remove(&layout::data(folder)).await?;
        made = run("C").await?;
    }
    if made.status.success() {
        return Ok(());
    }
    let output = text(&made);
    Err(if says_disk_full(&output) || is_disk_full(folder) {
        LocalError::DiskFull { folder: folder.into() }
    } else {
        LocalError::Tool { tool: "initdb", output }
    })
}

/// Starts the server and waits until it takes connections. `only_socket` keeps it off the network. The server lives in
/// a session of its own with nothing of ours open, so it survives us and holds up no pipe.
pub(super) async fn start(
    binaries: &Binaries,
    folder: &Path,
    name: &str,
    account: &Account,
    only_socket: bool,
) -> Result<(), LocalError> {
    process::forget_stale(folder, account)?;
    layout::make_socket(folder, account)?;
    let log = folder.join("server.log");
    let before = fs::metadata(&log).map_or(0, |found| found.len());
    // pg_ctl passes its paths through a shell, between double quotes: one with a `$` in it has to be relative.
    let paths = if layout::is_plain(folder) {
        (layout::data(folder), log.clone())
    } else {
        ("data".into(), "server.log".into())
    };
    let mut command = account.command(binaries.folder.join("pg_ctl"), folder);
    command
        .args(["start", "-w", "-s", "-t", &START.as_secs().to_string(), "-D"])
        .arg(paths.0)
        .arg("-l")
        .arg(paths.1);
    if only_socket {
        command.args(["-o", "-c listen_addresses="]);
    }
    let started = output(command, "pg_ctl", START + Duration::from_secs(10)).await?;
    if started.status.success() {
        return Ok(());
    }
    let said = text(&started);
    if said.contains("did not start in time") {
        return Err(LocalError::Timeout { name: name.into(), what: "start", seconds: START.as_secs() });
    }
    let log = last_lines(&log, before);
    let log = if log.is_empty() { said } else { log };
    Err(if says_disk_full(&log) || is_disk_full(folder) {
        LocalError::DiskFull { folder: folder.into() }
    } else {
        LocalError::StartFailed { name: name.into(), folder: folder.into(), log }
    })
}

/// A server on a full disk cannot even write that into its log. What only root may still use does not count.
fn is_disk_full(folder: &Path) -> bool {
    nix::sys::statvfs::statvfs(folder).is_ok_and(|disk| {
        let no_files = disk.files() > 0 && disk.files_available() == 0;
        no_files || disk.blocks_available() < 16
    })
}

/// Asks PostgreSQL whether it would accept the configuration; a server that runs is not disturbed.
pub(super) async fn check(
    binaries: &Binaries,
    folder: &Path,
    name: &str,
    account: &Account,
) -> Result<(), LocalError> {
    let mut command = account.command(binaries.folder.join("postgres"), folder);
    command.arg("-D").arg(layout::data(folder)).args(["-C", "data_directory"]);
    let checked = output(command, "postgres", SQL).await?;
    if checked.status.success() {
        return Ok(());
    }
    Err(LocalError::Rejected { name: name.into(), output: text(&checked) })
}

/// Makes a fresh server look like Aurora.
pub(super) async fn bootstrap(binaries: &Binaries, folder: &Path, port: u16) -> Result<(), LocalError> {
    const DOING: &str = "make the roles of a new local server";
    let mut connection = connect(folder, port, DOING).await?;
    let mut sql = include_str!("bootstrap.sql").to_owned();
    if binaries.version_num >= 160_000 {
        sql += include_str!("bootstrap_16.sql");
    }
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection);
    timed(statements, DOING).await?;
    let _ = connection.close().await;
    Ok(())
}

/// Makes a running server read its configuration again. True when something in it needs a restart to count.
pub(super) async fn reload(folder: &Path, port: u16) -> Result<bool, LocalError> {
    const DOING: &str = "reload the configuration of a local server";
    let mut connection = connect(folder, port, DOING).await?;
    let asked = sqlx::query_scalar("SELECT pg_conf_load_time()::text FROM pg_reload_conf()");
    let before: String = timed(asked.fetch_one(&mut connection), DOING).await?;
    let _ = connection.close().await;
    for _ in 0..200 {
        // A session that began later has what the server had then; ours learns of the reload at no fixed moment.
        let mut connection = connect(folder, port, DOING).await?;
        let asked = sqlx::query_as(
            "SELECT pg_conf_load_time()::text, (SELECT coalesce(bool_or(pending_restart), false) FROM pg_settings)",
        );
        let (loaded, pending): (String, bool) = timed(asked.fetch_one(&mut connection), DOING).await?;
        let _ = connection.close().await;
        if loaded != before {
            return Ok(pending);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(true)
}

async fn connect(folder: &Path, port: u16, doing: &'static str) -> Result<PgConnection, LocalError> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(layout::socket(folder))
        .port(port)
        .username("rdsadmin")
        .password("")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable)
        .application_name("infra")
        // sqlx takes the caller's PGOPTIONS; this comes behind them.
        .options([("default_transaction_read_only", "off")]);
    timed(PgConnection::connect_with(&options), doing).await
}

async fn timed<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
    doing: &'static str,
) -> Result<T, LocalError> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(SQL, work)
        .await
        .unwrap_or_else(late)
        .map_err(|source| LocalError::Sql { doing, source })
}

/// Removes a folder with all that is in it; what is gone already is fine. An `initdb` that outlived its infra may still
/// be writing there, so a folder that fills again is tried again.
pub(super) async fn remove(folder: &Path) -> Result<(), LocalError> {
    let mut attempts = 0;
    loop {
        match tokio::fs::remove_dir_all(folder).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !folder.exists() => return Ok(()),
            Err(error) if attempts == 50 => return Err(LocalError::io("remove", folder)(error)),
            Err(_) => attempts += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a program to its end; its output is read by us, never by who reads ours.
async fn output(
    command: std::process::Command,
    tool: &'static str,
    limit: Duration,
) -> Result<Output, LocalError> {
    let program = command.get_program().to_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(LocalError::io("run", &program))?;
    match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(LocalError::io("run", program)),
        Err(_) => Err(LocalError::Tool {
            tool,
            output: format!("it did not end within {} seconds", limit.as_secs()),
        }),
    }
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    if text.trim().is_empty() { output.status.to_string() } else { last(&text) }
}

/// What was written to a log since it had `before` bytes, as far as one wants to read it.
fn last_lines(log: &Path, before: u64) -> String {
    let mut bytes = Vec::new();
    let read = fs::File::open(log).and_then(|mut file| {
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(before.max(end.saturating_sub(64 * 1024))))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_ok() { last(&String::from_utf8_lossy(&bytes)) } else { String::new() }
}

fn last(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
