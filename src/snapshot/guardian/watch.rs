//! The failover guard. A locked member cannot vote: while it is locked, a set of three that loses its primary stays without
//! one. So the primary is watched by two ways, and its loss releases the lock.

use std::{convert::Infallible, time::Duration};

use futures::{FutureExt as _, pin_mut, select_biased};
use tokio::time::sleep;

use crate::providers::mongo::Member;

const INTERVAL: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(1);

/// A primary that does not answer so often in a row is lost. The members themselves take 10 s to notice one that hangs.
const MISSES: u32 = 3;

/// Resolves when the lock must not be held any longer, with the reason.
pub(super) async fn lost(locked: &Member, primary: Option<&Member>, process: Option<&str>) -> String {
    let by_member = by_member(locked, process).fuse();
    let by_primary = async {
        match primary {
            Some(primary) => by_primary(primary).await,
            None => match std::future::pending::<Infallible>().await {},
        }
    }
    .fuse();
    pin_mut!(by_member, by_primary);
    select_biased! {
        lost = by_member => lost,
        lost = by_primary => lost,
    }
}

/// By what the locked member hears. That it does not answer says nothing: machines are frozen while they are snapshotted.
async fn by_member(member: &Member, process: Option<&str>) -> String {
    loop {
        if let Ok(hello) = member.hello_within(LIMIT).await {
            if let (Some(then), Some(now)) = (process, hello.process.as_deref())
                && then != now
            {
                return format!("{} was restarted", member.name());
            }
            if !hello.secondary {
                return format!("{} is no secondary any more", member.name());
            }
            if hello.primary.is_none() {
                return format!("{} sees no primary any more", member.name());
            }
        }
        sleep(INTERVAL).await;
    }
}

/// By asking the primary itself.
async fn by_primary(primary: &Member) -> String {
    let mut misses = 0;
    loop {
        match primary.hello_within(LIMIT).await {
            Ok(hello) if hello.writable => misses = 0,
            Ok(_) => return format!("{} is not the primary any more", primary.name()),
            Err(error) => {
                misses += 1;
                if misses >= MISSES {
                    return format!("the primary is lost: {}", error.brief());
                }
            }
        }
        sleep(INTERVAL).await;
    }
}
