//! What we write into a server's folder: `server.json`, `infra.conf` and `pg_hba.conf`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{error::LocalError, layout, user::Account};

const FORMAT: u32 = 1;

/// Set by us, and by nobody else: with these a server would no longer be ours, or no longer be local.
const RESERVED: [&str; 12] = [
    "port",
    "listen_addresses",
    "unix_socket_directories",
    "unix_socket_permissions",
    "unix_socket_group",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "cluster_name",
    "hosts_file",
];

/// Who may come in. A local environment has no passwords: its data is for throwing away, and whoever has an account
/// on this machine may log in as anybody but the superuser, who comes only through the socket in our closed folder.
const PG_HBA: &str = "\
# Written by infra. A local environment has no passwords; keep only throw-away data in it.
local all all trust
host all rdsadmin 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
";

/// `server.json`: a folder is ours when it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    pub(super) environment: String,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) version: String,
    pub(super) parameters: BTreeMap<String, String>,
    /// A change of parameters was begun. While it stands, this record tells what was before, so that a plan after a
    /// killed run shows the change again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) configuring: bool,
}

impl Record {
    pub(super) fn new(
        environment: &str,
        name: &str,
        port: u16,
        version: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            format: FORMAT,
            environment: environment.into(),
            name: name.into(),
            port,
            version: version.into(),
            parameters: parameters.clone(),
            configuring: false,
        }
    }

    /// Reads the record of a folder; `None` when it has none, so that it is not ours.
    pub(super) fn read(folder: &Path, environment: &str) -> Result<Option<Self>, LocalError> {
        let path = folder.join("server.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LocalError::io("read", path)(error)),
        };
        let not_ours = |why: String| LocalError::NotOurs { folder: folder.into(), why };
        let record: Self = serde_json::from_str(&text).map_err(|error| not_ours(error.to_string()))?;
        if record.format != FORMAT {
            return Err(not_ours(format!("its format is {}, this infra knows {FORMAT}", record.format)));
        }
        if record.environment != environment
            || folder.file_name().is_none_or(|name| name != record.name.as_str())
        {
            return Err(not_ours(format!("it tells of `{}` in `{}`", record.name, record.environment)));
        }
        Ok(Some(record))
    }

    pub(super) fn write(&self, folder: &Path, account: &Account) -> Result<(), LocalError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LocalError::io("write", folder.join("server.json"))(error.into()))?;
        write_file(&folder.join("server.json"), &(text + "\n"), account)
    }

    /// Writes the configuration of a fresh data folder.
    pub(super) fn write_first_configuration(
        &self,
        data: &Path,
        folder: &Path,
        account: &Account,
    ) -> Result<(), LocalError> {
        write_file(&data.join("pg_hba.conf"), PG_HBA, account)?;
        self.write_configuration(data, folder, account)?;
        let path = data.join("postgresql.conf");
        let mut file =
            fs::OpenOptions::new().append(true).open(&path).map_err(LocalError::io("open", &path))?;
        file.write_all(b"\ninclude 'infra.conf'\n").map_err(LocalError::io("write", &path))
    }

    /// Writes `infra.conf` for a server in `folder`.
    pub(super) fn write_configuration(
        &self,
        data: &Path,
        folder: &Path,
        account: &Account,
    ) -> Result<(), LocalError> {
        write_file(&data.join("infra.conf"), &self.configuration(&layout::socket(folder)), account)
    }

    /// What the server really reads: the parameters in `infra.conf`, hand-made changes included.
    pub(super) fn actual_parameters(&self, folder: &Path) -> BTreeMap<String, String> {
        let Ok(text) = fs::read_to_string(layout::data(folder).join("infra.conf")) else {
            return self.parameters.clone();
        };
        if self.configuring || text == self.configuration(&layout::socket(folder)) {
            return self.parameters.clone();
        }
        let ours =
            Self { parameters: BTreeMap::new(), ..self.clone() }.configuration(&layout::socket(folder));
        let ours: BTreeMap<String, String> = assignments(&ours).collect();
        assignments(&text).filter(|(name, value)| ours.get(name) != Some(value)).collect()
    }

    /// The text of `infra.conf`: what makes the server local, small defaults, then what the YAML says.
    fn configuration(&self, socket: &Path) -> String {
        let title = format!("infra {}/{}", self.environment, self.name);
        let port = self.port.to_string();
        let socket = socket.to_string_lossy();
        let mut text =
            "# Written by infra, which overwrites hand-made changes: change the YAML.\n".to_owned();
        let ours = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", &socket),
            ("unix_socket_permissions", "0700"),
            ("cluster_name", &title),
            ("max_connections", "400"), // room for many services with a pool each
            ("shared_buffers", "128MB"),
            ("fsync", "on"),
            ("log_timezone", "UTC"),
            ("timezone", "UTC"), // as on Aurora
        ];
        let theirs = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.into_iter().chain(theirs) {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "''"));
        }
        text
    }
}

/// Refuses what cannot be written into a configuration file, or what is ours to set.
pub(super) fn check_parameters(parameters: &BTreeMap<String, String>) -> Result<(), LocalError> {
    for (name, value) in parameters {
        let refuse = |why| Err(LocalError::BadParameter { name: name.escape_debug().to_string(), why });
        let well_formed = name.split('.').all(|part| {
            part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        if !well_formed || name.len() > 63 || name.starts_with("include") {
            return refuse("that is not the name of a PostgreSQL parameter");
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return refuse("infra sets it itself for a local server");
        }
        if value.chars().any(char::is_control) {
            return refuse("its value holds a line break or another control character");
        }
        if value.len() > 8_000 {
            return refuse("its value is longer than 8000 bytes");
        }
    }
    Ok(())
}

/// The `name = value` lines of a configuration file, unquoted; later ones win when collected.
fn assignments(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let end = line.find(|c: char| c == '=' || c == '#' || c.is_whitespace())?;
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        if name.is_empty() || value.is_empty() || value.starts_with('#') {
            return None;
        }
        let value = match value.strip_prefix('\'') {
            Some(quoted) => unquoted(quoted),
            None => value.split(['#', ' ', '\t']).next().unwrap_or_default().to_owned(),
        };
        Some((name.to_owned(), value))
    })
}

/// A quoted value from behind its opening quote to its closing one.
fn unquoted(quoted: &str) -> String {
    let (mut value, mut rest) = (String::new(), quoted.chars().peekable());
    while let Some(character) = rest.next() {
        match character {
            '\'' if rest.peek() != Some(&'\'') => break,
            '\'' | '\\' => value.extend(rest.next()),
            other => value.push(other),
        }
    }
    value
}

/// Replaces a file in one step, so that a kill leaves the old one or the new one. The folder belongs to the server's
/// account, so nothing there is followed or kept.
pub(super) fn write_file(path: &Path, text: &str, account: &Account) -> Result<(), LocalError> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LocalError::io("remove", new)(error));
        }
        _ => {}
    }
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(LocalError::io("write", path))?;
    account.give(&new)?;
    fs::rename(&new, path).map_err(LocalError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn hostile_values_stay_inside_their_quotes() {
        let values =
            parameters(&[("app.a", "it's"), ("app.b", "a\\"), ("app.c", "'; port = 1 --"), ("app.d", "# x")]);
        check_parameters(&values).unwrap();
        let record = Record::new("local", "main", 20_000, "17.1", &values);
        let text = record.configuration(Path::new("/s"));
        assert!(
            text.ends_with("app.a = 'it''s'\napp.b = 'a\\\\'\napp.c = '''; port = 1 --'\napp.d = '# x'\n"),
            "{text}"
        );
        let read: BTreeMap<_, _> = assignments(&text).collect();
        assert!(values.iter().all(|(name, value)| read.get(name) == Some(value)), "{read:?}");
    }

    #[test]
    fn what_people_write_by_hand_is_read() {
        let text = "# a = 1\na = 1 # one\n b='2' # two\nc 3\nd = 'it''s \\\\ # d'#\n\n=\ne\na = 4";
        let read: BTreeMap<_, _> = assignments(text).collect();
        assert_eq!(read, parameters(&[("a", "4"), ("b", "2"), ("c", "3"), ("d", "it's \\ # d")]));
    }

    #[test]
    fn refused_parameters() {
        for (name, value) in [
            ("a", "x\ny"),
            ("a", "x\0"),
            ("a b", "x"),
            ("", "x"),
            ("a.", "x"),
            ("Port", "1"),
            ("include_dir", "/"),
            ("a='1'\nb", "x"),
        ] {
            assert!(check_parameters(&parameters(&[(name, value)])).is_err(), "{name:?} {value:?}");
        }
    }
}
