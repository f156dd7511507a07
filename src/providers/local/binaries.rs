//! Which PostgreSQL programs this machine has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{error::LocalError, user::Account};

/// Older servers were never tried with the SQL this tool writes.
const OLDEST_MAJOR: u32 = 15;

/// Folders to look for PostgreSQL programs in, in this order; the order only matters between equal versions.
#[derive(Clone, Debug)]
pub struct Search(Vec<PathBuf>);

/// A folder with `postgres`, `initdb` and `pg_ctl` of one version. `psql` is not needed; some builds lack it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// As `postgres --version` has it: `17.10`, `18beta1`.
    pub(super) version: String,
    /// As `server_version_num` has it: 170010.
    pub(super) version_num: u32,
}

impl Search {
    /// PATH, what `pg_config` says, and the folders of Debian, Red Hat, Alpine, Homebrew and Postgres.app.
    pub fn system() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
        let asked =
            Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output();
        if let Ok(answer) = asked
            && let Ok(folder) = String::from_utf8(answer.stdout)
            && folder.starts_with('/')
        {
            folders.push(folder.trim_end().into());
        }
        for (parent, prefix) in [
            ("/usr/lib/postgresql", ""),
            ("/usr", "pgsql-"),
            ("/usr/libexec", "postgresql"),
            ("/opt/homebrew/opt", "postgresql"),
            ("/usr/local/opt", "postgresql"),
            ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
            ("/Applications/Postgres.app/Contents/Versions", ""),
        ] {
            let Ok(entries) = fs::read_dir(parent) else { continue };
            let mut versions: Vec<PathBuf> = entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                .flat_map(|entry| [entry.path().join("bin"), entry.path()])
                .collect();
            versions.sort();
            folders.extend(versions);
        }
        Self(folders)
    }

    /// Just these folders.
    pub fn only(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(folders.into_iter().collect())
    }

    /// The newest usable PostgreSQL whose version begins with `prefix`.
    pub(super) fn newest(&self, prefix: Option<&str>) -> Result<Binaries, LocalError> {
        let (found, unusable) = self.all()?;
        let wanted = |binaries: &&Binaries| {
            binaries.version_num / 10_000 >= OLDEST_MAJOR
                && prefix.is_none_or(|prefix| satisfies(&binaries.version, prefix))
        };
        if let Some(binaries) = found.values().rev().find(wanted) {
            return Ok(binaries.clone());
        }
        if found.is_empty() {
            return Err(LocalError::NoBinary { searched: self.0.clone(), unusable });
        }
        Err(LocalError::NoVersion {
            wanted: prefix.map_or_else(|| format!("{OLDEST_MAJOR} or newer"), str::to_owned),
            found: found.into_values().map(|binaries| binaries.version).collect(),
        })
    }

    /// What a server last run as `version` can be started with: the same, or the newest of the same major version,
    /// whose files are compatible (<https://www.postgresql.org/support/versioning/>).
    pub(super) fn compatible(&self, version: &str) -> Result<Binaries, LocalError> {
        self.newest(Some(version)).or_else(|_| {
            let major: String = version.chars().take_while(char::is_ascii_digit).collect();
            self.newest(Some(&major))
        })
    }

    /// Everything there is, by version, and what looked like it but cannot be run by the server's account.
    fn all(&self) -> Result<(BTreeMap<u32, Binaries>, Vec<String>), LocalError> {
        let account = Account::for_new()?;
        let (mut found, mut unusable) = (BTreeMap::new(), Vec::new());
        for folder in &self.0 {
            let Some(folder) = complete(folder) else { continue };
            if found.values().any(|binaries: &Binaries| binaries.folder == folder) {
                continue;
            }
            if let Some((version, version_num)) = version_of(&folder, &account) {
                found.entry(version_num).or_insert(Binaries { folder, version, version_num });
                continue;
            }
            let text = format!("{} cannot be run by {}", folder.join("postgres").display(), account.name());
            if !unusable.contains(&text) {
                unusable.push(text);
            }
        }
        Ok((found, unusable))
    }
}

/// The folder in which all three programs lie together: the one links lead to, or else the given one.
fn complete(folder: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(folder.join("postgres")).ok()?;
    let whole =
        |folder: &Path| ["postgres", "initdb", "pg_ctl"].iter().all(|name| folder.join(name).is_file());
    real.parent()
        .filter(|folder| whole(folder))
        .or_else(|| Some(folder).filter(|it| whole(it)))
        .map(Path::to_path_buf)
}

fn version_of(folder: &Path, account: &Account) -> Option<(String, u32)> {
    let mut command = account.command(folder.join("postgres"), Path::new("/"));
    let output =
        command.arg("--version").stdin(Stdio::null()).output().ok().filter(|it| it.status.success())?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(output: &str) -> Option<(String, u32)> {
    let version = output.trim().strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    version_num(version).map(|number| (version.to_owned(), number))
}

/// `17.10` is 170010, `18beta1` is 180000.
pub(super) fn version_num(version: &str) -> Option<u32> {
    let (major, rest) =
        version.split_at(version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len()));
    let minor: String =
        rest.strip_prefix('.').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    let minor: u32 = if minor.is_empty() { 0 } else { minor.parse().ok().filter(|minor| *minor < 10_000)? };
    major.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(minor)
}

/// Whether `version` begins with the parts of `prefix`: 16.14 satisfies `16` and `16.14`, not `16.1`.
fn satisfies(version: &str, prefix: &str) -> bool {
    version.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some(("15.18".into(), 150_018)));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(("18beta1".into(), 180_000)));
        for bad in [
            "",
            "postgres 9",
            "psql (PostgreSQL) 15.1",
            "postgres (PostgreSQL) x",
            "postgres (PostgreSQL) 99999999999",
        ] {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_compared_part_by_part() {
        for (version, prefix, expected) in [
            ("16.14", "16", true),
            ("16.14", "16.14", true),
            ("16.14", "16.1", false),
            ("16.14", "1", false),
            ("18beta1", "18", true),
        ] {
            assert_eq!(satisfies(version, prefix), expected, "{version} {prefix}");
        }
    }

    #[test]
    fn nothing_found_says_where_it_looked() {
        let error = Search::only(["/nonexistent".into()]).newest(None).unwrap_err();
        assert!(matches!(&error, LocalError::NoBinary { searched, .. } if searched.len() == 1), "{error}");
        assert!(error.hint().unwrap().contains("postgresql"), "{error}");
    }
}
