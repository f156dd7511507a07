//! `infra history`: what was applied, by whom, and how it ended. Reads only.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    Exit, Stop,
    record::{HISTORY, document, holder},
    session::{Session, of_aws},
};
use crate::{
    cli::{self, Global},
    providers::{ReadOnly, aws::Aws, ledger::Ledger},
    report::history::{self, Record, State},
    ui::{Failure, Terminal},
};

/// Records that are read at once.
const AT_ONCE: usize = 8;

pub(super) async fn run(
    global: &Global,
    arguments: &cli::History,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let aws = match session.settings()? {
        Some(settings) => Some(Aws::<ReadOnly>::connect(&settings).await.map_err(|error| of_aws(&error))?),
        None => None,
    };
    let ledger = session.ledger_to_read(aws.as_ref()).await?;
    let holder = holder(&ledger).await?;
    let mut ids = ids(&ledger).await?;
    if let Some(cli::HistoryCommand::Show(asked)) = &arguments.what {
        let record = read(&ledger, &chosen(ids, &asked.id)?).await?;
        let state = record.state(holder.as_ref());
        terminal.out(&if asked.json {
            format!("{:#}\n", with_state(&record, state)?)
        } else {
            history::show(&record, state)
        })?;
        return Ok(Exit::Done);
    }
    // The newest first.
    ids.reverse();
    ids.truncate(arguments.limit);
    let records = stream::iter(&ids).map(|id| read(&ledger, id)).buffered(AT_ONCE);
    let runs: Vec<(Record, State)> = records
        .map_ok(|record| {
            let state = record.state(holder.as_ref());
            (record, state)
        })
        .try_collect()
        .await?;
    if arguments.json {
        let runs: Vec<Value> =
            runs.iter().map(|(record, state)| with_state(record, *state)).collect::<Result<_, _>>()?;
        terminal.out(&format!("{}\n", json!({"environment": session.name, "runs": runs})))?;
    } else if runs.is_empty() {
        terminal.out(&format!("Nothing was applied to {} yet.\n", session.name))?;
    } else {
        terminal.out(&history::list(&runs))?;
    }
    Ok(Exit::Done)
}

/// All runs, the oldest first: an id begins with the time.
async fn ids(ledger: &Ledger<ReadOnly>) -> Result<Vec<String>, Stop> {
    let names = ledger.list(HISTORY).await.map_err(|error| Failure::of(&error))?;
    let prefix = format!("{HISTORY}/");
    let id = |name: &str| Some(name.strip_prefix(&prefix)?.strip_suffix(".json")?.to_owned());
    Ok(names.iter().filter_map(|name| id(name)).collect())
}

/// The one that is meant: an id, or any part of it that only one has.
fn chosen(ids: Vec<String>, asked: &str) -> Result<String, Stop> {
    if let Some(id) = ids.iter().find(|id| *id == asked) {
        return Ok(id.clone());
    }
    let mut meant = ids.into_iter().filter(|id| id.contains(asked));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id),
        (Some(one), Some(other)) => {
            Err(Failure::new(format!("`{asked}` may be {one} or {other}")).hint("type more of it").into())
        }
        (None, _) => Err(Failure::new(format!("there is no run {asked}"))
            .hint("infra history lists them; --limit=1000 lists more")
            .into()),
    }
}

async fn read(ledger: &Ledger<ReadOnly>, id: &str) -> Result<Record, Stop> {
    let record = ledger.read::<Record>(&document(id)).await.map_err(|error| Failure::of(&error))?;
    record.ok_or_else(|| Failure::new(format!("the record of {id} has just been deleted")).into())
}

fn with_state(record: &Record, state: State) -> Result<Value, Stop> {
    let mut value = serde_json::to_value(record)?;
    value["state"] = serde_json::to_value(state)?;
    Ok(value)
}
