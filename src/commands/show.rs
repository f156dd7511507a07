//! `infra show`: a saved plan as it was, or what exists now.

use std::fmt::Write as _;

use super::{
    Exit, Stop,
    plan::{saved, style, write_page},
    session::{Session, Wanted},
};
use crate::{
    cli::{self, Global},
    report::{self, json, markdown, page, text},
    ui::Terminal,
};

pub(super) async fn run(global: &Global, arguments: &cli::Show, terminal: &Terminal) -> Result<Exit, Stop> {
    if let Some(file) = &arguments.plan_file {
        let view = saved(file)?;
        if let Some(file) = &arguments.html {
            write_page(file, &page::plan(&view), global, terminal)?;
            return Ok(Exit::Done);
        }
        terminal.out(&if arguments.json {
            json::render(&view)?
        } else if arguments.markdown {
            markdown::render(&view)
        } else {
            text::render(&view, style(global, terminal, false))
        })?;
        return Ok(Exit::Done);
    }
    let session = Session::open(global)?;
    let desired = session.desired(&Wanted::default());
    let live = session.reader("show").await?;
    let world = session.read(&live, &desired).await;
    live.postgres.close().await;
    let world = world?;
    if arguments.json {
        terminal.out(&format!("{}\n", serde_json::to_string_pretty(&world)?))?;
        return Ok(Exit::Done);
    }
    let mut page = String::new();
    for (owned, title) in [(true, "Managed"), (false, "Unmanaged (reported, never touched)")] {
        let of: Vec<_> = world.found.iter().filter(|(_, found)| found.owned == owned).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(page, "{title}: {}", of.len());
        for (address, found) in of {
            let _ = writeln!(page, "  {}", report::visible(address.as_str()));
            for (output, value) in found.outputs.iter().filter(|_| global.verbose > 0) {
                let _ = writeln!(page, "      {output} = {}", report::visible(value));
            }
        }
    }
    for (address, why) in &world.unreadable {
        let _ = writeln!(page, "Could not be read: {address}: {}", report::visible(why));
    }
    if page.is_empty() {
        page.push_str("Nothing exists.\n");
    }
    terminal.out(&page)?;
    Ok(Exit::Done)
}
