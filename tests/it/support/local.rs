//! A project with local servers, and questions to them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use infra::providers::{
    ReadOnly, ReadWrite,
    local::{Local, Search, Server, Spec},
};
use nix::unistd::Uid;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::postgres;

/// A project in a folder of its own. What is left of its servers when a test fails is removed with it.
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
    _temporary: tempfile::TempDir,
    pub(crate) environment: String,
    pub(crate) search: Search,
}

impl Project {
    pub(crate) fn new(majors: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let search = Search::only(majors.iter().map(|major| postgres(major)));
        let folder = temporary.path().canonicalize().unwrap();
        Self { folder, _temporary: temporary, environment: "local".into(), search }
    }

    pub(crate) fn writer(&self) -> Local<ReadWrite> {
        Local::<ReadWrite>::new(&self.folder, &self.environment).searching(self.search.clone())
    }

    pub(crate) async fn servers(&self) -> Vec<Server> {
        Local::<ReadOnly>::new(&self.folder, &self.environment).servers().await.unwrap()
    }

    /// The folder that holds everything of this project, server folders included.
    pub(crate) fn base(&self) -> PathBuf {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(self.folder.as_os_str().as_encoded_bytes());
        let hash: String =
            digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        if Uid::effective().is_root() {
            Path::new("/var/lib/infra").join(hash)
        } else {
            self.folder.join(".infra")
        }
    }

    pub(crate) fn servers_folder(&self) -> PathBuf {
        let base = self.base().join(&self.environment);
        if Uid::effective().is_root() { base } else { base.join("servers") }
    }

    /// Nothing is left: no folder, no process.
    pub(crate) fn assert_clean(&self) {
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

pub(crate) fn quiet(_: &str) {}

pub(crate) fn spec(name: &str) -> Spec {
    Spec { name: name.into(), ..Spec::default() }
}

pub(crate) fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

pub(crate) async fn connect(
    server: &Server,
    user: &str,
    database: &str,
) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port)
        .username(user)
        .password("")
        .database(database);
    PgConnection::connect_with(&options).await
}

pub(crate) async fn run(server: &Server, user: &str, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut connect(server, user, "postgres").await.unwrap()).await.unwrap();
}

pub(crate) async fn show(server: &Server, sql: &'static str) -> String {
    sqlx::query_scalar(sql)
        .fetch_one(&mut connect(server, "infra_admin", "postgres").await.unwrap())
        .await
        .unwrap()
}

/// Processes that work somewhere under a folder.
pub(crate) fn processes_under(folder: &Path) -> Vec<i32> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

pub(crate) fn postmaster(server: &Server) -> i32 {
    let text = fs::read_to_string(server.folder.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}
