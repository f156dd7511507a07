//! Clusters: the way to them, who they say they are, and who may log in.

use std::time::Duration;

use super::{
    super::session::{READ, Session},
    clock, within,
};
use crate::{
    model::environment::Platform,
    providers::{
        ReadOnly,
        aws::Aws,
        postgres::{ADMIN, Endpoint, Login, PLANNER, Postgres, SqlError},
    },
    report::checks::{Check, Topic},
};

const WAY: &str = "connection.host, connection.port and connection.tunnel in the YAML lead there; ca_file says whom to trust";
/// Connections that an apply and those who work meanwhile should find free.
const FEW: i64 = 20;
/// Older servers were never tried.
const OLDEST: u32 = 150_000;

pub(super) async fn checks(session: &Session, aws: Option<Aws<ReadOnly>>, limit: Duration) -> Vec<Check> {
    let logins = [PLANNER, ADMIN].map(|user| session.login(user, "doctor", READ, aws.as_ref()));
    let live = session.onlooker("doctor", aws);
    let ([Ok(planner), Ok(admin)], Ok(live)) = (logins, live) else {
        let said = "the way to the clusters is not known";
        return vec![Check::fail(Topic::Connection, "clusters", said, WAY)];
    };
    // The doctor writes nothing, whoever it is.
    let admin = Login { read_only: true, ..admin };
    let running = match tokio::time::timeout(limit, live.running(&session.interest())).await {
        Ok(Ok(running)) => running,
        Ok(Err(error)) => {
            let said = crate::model::causes(error.as_ref());
            return vec![Check::fail(Topic::Server, "clusters", said, "mend what stands above first")];
        }
        Err(_) => {
            let said = format!("no answer within {} ms", limit.as_millis());
            return vec![Check::fail(Topic::Server, "clusters", said, "--timeout gives it more time")];
        }
    };
    let each = session.environment.clusters.keys().map(async |name| {
        match running.iter().find(|(cluster, _)| cluster == name) {
            Some((_, endpoint)) => Box::pin(one(name, endpoint, &planner, &admin, limit)).await,
            None => vec![Check::ok(
                Topic::Server,
                name,
                "does not run, or is not there yet: infra apply makes it",
            )],
        }
    });
    let found = futures::future::join_all(each).await.concat();
    live.postgres.close().await;
    Postgres::<ReadOnly>::new(planner).close().await;
    found.into_iter().map(|check| local(check, &session.environment.platform)).collect()
}

/// Nobody proves who he is on this machine, so what keeps a login out is another thing there.
fn local(check: Check, platform: &Platform) -> Check {
    match (platform, &check.mend) {
        (Platform::Local(_), Some(_)) => {
            Check { mend: Some("infra plan shows what is missing, infra apply mends it".into()), ..check }
        }
        _ => check,
    }
}

async fn one(name: &str, endpoint: &Endpoint, planner: &Login, admin: &Login, limit: Duration) -> Vec<Check> {
    let at = format!("{}:{}", endpoint.host, endpoint.port);
    let client = |login: &Login| Postgres::<ReadOnly>::new(login.clone());
    let knock = async {
        vec![match client(planner).knock(endpoint).await {
            Ok(()) => Check::ok(Topic::Connection, name, format!("{at} answers, and is who it should be")),
            Err(error) => Check::fail(Topic::Connection, name, told(&error), WAY),
        }]
    };
    let mut found = within(limit, Topic::Connection, name, knock).await;
    if found.iter().any(|check| check.mend.is_some()) {
        return found;
    }
    let (as_planner, as_admin) = futures::join!(
        within(limit, Topic::Login, PLANNER, enter(name, endpoint, client(planner), PLANNER)),
        within(limit, Topic::Login, ADMIN, enter(name, endpoint, client(admin), ADMIN)),
    );
    // Both tell the same of the server.
    let (of_admin, more): (Vec<Check>, Vec<Check>) =
        as_admin.into_iter().partition(|check| check.topic == Topic::Login);
    let told_already = as_planner.iter().any(|check| check.topic == Topic::Server);
    found.extend(as_planner);
    found.extend(of_admin);
    found.extend(more.into_iter().filter(|_| !told_already));
    found
}

/// Logs in, and asks the server how it is.
async fn enter(name: &str, endpoint: &Endpoint, client: Postgres<ReadOnly>, login: &str) -> Vec<Check> {
    let subject = format!("{name} as {login}");
    let vitals = match client.vitals(endpoint).await {
        Ok(vitals) => vitals,
        Err(error) if login == ADMIN => {
            let mend = "whoever only plans needs it not; who applies must be allowed rds-db:connect as it";
            return vec![Check::warn(Topic::Login, subject, told(&error), mend)];
        }
        Err(error) => {
            let mend = "allow rds-db:connect as infra_planner; infra apply makes the login";
            return vec![Check::fail(Topic::Login, subject, told(&error), mend)];
        }
    };
    let mut found = vec![Check::ok(Topic::Login, subject, "is let in")];
    let said = format!("PostgreSQL {}, {} connections free", vitals.version, vitals.free_connections);
    found.push(if vitals.version_num < OLDEST {
        Check::fail(
            Topic::Server,
            name,
            said,
            "infra is tried with PostgreSQL 15 and later: upgrade the cluster",
        )
    } else if vitals.free_connections < FEW {
        let mend =
            "end sessions that nobody needs, lower connection_limit of services, or take a larger class";
        Check::warn(Topic::Server, name, said, mend)
    } else {
        Check::ok(Topic::Server, name, said)
    });
    found.push(clock(name, jiff::Timestamp::now().as_second() - vitals.now));
    found
}

fn told(error: &SqlError) -> String {
    crate::model::causes(error)
}
