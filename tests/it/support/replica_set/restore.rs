//! What a copy of a member's folder holds: opened by a mongod of its own, on loopback, outside of any set.

use std::{path::Path, time::Duration};

use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, FindOneOptions, ServerAddress},
};

use super::{Member, ReplicaSet, runtime};

const PATIENCE: Duration = Duration::from_mins(1);

/// What was found in a copy that opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    /// The last entry of the oplog, seconds and number.
    pub(crate) last: (u32, u32),
    pub(crate) documents: i64,
    /// The highest `_id`.
    pub(crate) highest: i64,
    /// How far the writer said that it came.
    pub(crate) upto: i64,
    /// Collections that `validate` looked at, and what it found.
    pub(crate) validated: usize,
    pub(crate) errors: Vec<String>,
    pub(crate) users: i64,
}

impl Restored {
    /// Neither gaps nor notes of what is not there.
    pub(crate) fn is_exact_prefix(&self) -> bool {
        self.documents == self.highest + 1 && self.upto <= self.highest
    }
}

/// Opens the copy `folder/data` with the oplog replayed, as after a crash.
pub(crate) fn open(version: &str, folder: &Path) -> Result<Restored, String> {
    let arguments = vec!["--setParameter".into(), "recoverFromOplogAsStandalone=true".into()];
    let member = Member::new(version, folder.to_owned(), arguments, false);
    member.launch();
    member.try_listening()?;
    let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(member.port) };
    let options = ClientOptions::builder().hosts(vec![address]).direct_connection(true).build();
    let client = runtime::client(options);
    let found = runtime::wait(PATIENCE, async move { look(&client).await });
    found.ok_or("no answer in time")?.map_err(|error| error.to_string())
}

async fn look(client: &Client) -> mongodb::error::Result<Restored> {
    let (mut validated, mut errors) = (0, Vec::new());
    for database in client.list_database_names().await? {
        let database = client.database(&database);
        let names = database.list_collection_names().filter(doc! {"type": "collection"}).await?;
        for name in &names {
            let found = database.run_command(doc! {"validate": name, "full": true}).await?;
            validated += 1;
            if found.get_bool("valid").map_or(true, |valid| !valid)
                || !found.get_array("errors").is_ok_and(Vec::is_empty)
            {
                errors.push(format!("{}.{name}: {found}", database.name()));
            }
        }
    }
    let natural = FindOneOptions::builder().sort(doc! {"$natural": -1}).build();
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let last = oplog.find_one(doc! {}).with_options(natural).await?.unwrap_or_default();
    let last = last.get_timestamp("ts").map(|at| (at.time, at.increment)).unwrap_or_default();
    let application = ReplicaSet::application(client);
    let (a, b) = (application.collection::<Document>("a"), application.collection::<Document>("b"));
    let documents = i64::try_from(a.count_documents(doc! {}).await?).unwrap();
    let highest = a.find_one(doc! {}).sort(doc! {"_id": -1}).await?;
    let upto = b.find_one(doc! {}).sort(doc! {"upto": -1}).await?;
    let users =
        client.database("admin").collection::<Document>("system.users").count_documents(doc! {}).await?;
    Ok(Restored {
        last,
        documents,
        highest: highest.and_then(|found| found.get_i64("_id").ok()).unwrap_or(-1),
        upto: upto.and_then(|found| found.get_i64("upto").ok()).unwrap_or(-1),
        validated,
        errors,
        users: i64::try_from(users).unwrap(),
    })
}
