//! `infra import --adopt`: gives our mark to what exists without one, and changes nothing else.

use std::time::Duration;

use super::{
    Exit, Stop,
    apply::lock_file,
    session::{Session, Wanted},
};
use crate::{
    cli::{self, Global},
    model::Address,
    resources::adoptable,
    ui::{Failure, Terminal},
};

pub(super) async fn run(global: &Global, arguments: &cli::Import, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let mut addresses: Vec<Address> = Vec::new();
    for text in &arguments.adopt {
        addresses.push(text.parse().map_err(|error| Failure::of(&error))?);
    }
    let live = session.writer("import").await?;
    let patience: Duration = arguments.lock_timeout.into();
    let lock = lock_file(&session, "import", patience).await?;
    let ended = async {
        let desired = session.desired(&Wanted::default());
        let world = session.read(&live, &desired).await?;
        // All or nothing: one that cannot be adopted is known before the first is.
        let mut found = Vec::with_capacity(addresses.len());
        let mut failures = Vec::new();
        for address in &addresses {
            match adoptable(address, &desired, &world) {
                Ok(one) => found.push((address, one)),
                Err(error) => failures.push(Failure::of(&error)),
            }
        }
        if !failures.is_empty() {
            return Err(Stop { exit: Exit::Failed, failures });
        }
        for (address, one) in found {
            live.adopt(address, one, session.environment.protect)
                .await
                .map_err(|error| Failure::of(error.as_ref()).named(&format!("cannot adopt {address}")))?;
            terminal.out(&format!("{address}: Adopted\n"))?;
        }
        terminal.out("\nOnly marks were written. infra plan shows what differs from the YAML.\n")?;
        Ok(Exit::Done)
    }
    .await;
    live.postgres.close().await;
    lock.release();
    ended
}
