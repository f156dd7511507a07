//! Replica sets of MongoDB: every member, and what our user may do there.

use std::time::Duration;

use super::{
    super::{platform, session::Session},
    within,
};
use crate::{
    compose,
    model::environment::MongoCluster,
    providers::{ReadOnly, mongo::Mongo},
    report::checks::{Check, Topic},
    snapshot::{self, Survey, choose::Dialled},
};

const REACH: &str =
    "is there a way to every member from here, by the names that the set's own configuration has?";

pub(super) async fn checks(session: &Session, limit: Duration) -> Vec<Check> {
    let sets = session.environment.mongo_clusters.iter();
    let each = sets.map(async |(name, declared)| {
        within(limit, Topic::Mongo, name, Box::pin(one(session, name, declared))).await
    });
    futures::future::join_all(each).await.concat()
}

async fn one(session: &Session, name: &str, declared: &MongoCluster) -> Vec<Check> {
    let application = session.application("doctor");
    let access = match platform::mongo_access(name, declared, &session.folder(), &application) {
        Ok(access) => access,
        Err(why) => {
            return vec![Check::fail(
                Topic::Mongo,
                name,
                why,
                "the YAML says where the connection string comes from",
            )];
        }
    };
    let client = Mongo::<ReadOnly>::new(name, access.clone());
    let (survey, users) = futures::join!(snapshot::survey(&access), client.read(|_| true));
    let mut found = match survey {
        Ok(survey) => {
            let locks = compose::snapshotted(&session.environment).any(|(cluster, ..)| cluster == name);
            members(name, &survey, locks)
        }
        Err(error) => {
            let mend = error.hint().unwrap_or(REACH);
            vec![Check::fail(Topic::Mongo, name, error.to_string(), mend)]
        }
    };
    if let Err(error) = users
        && found.iter().all(|check| check.subject != name)
    {
        let mend = "docs/mongo.md has the rights that the user of `uri` needs";
        found.push(Check::fail(Topic::Mongo, name, error.brief(), mend));
    }
    found
}

/// A line for each member, and one for what the set as a whole lacks.
fn members(name: &str, survey: &Survey, locks: bool) -> Vec<Check> {
    let mut found = Vec::new();
    for member in &survey.members {
        let subject = format!("{name} {}", member.host);
        let state = member.state_name.clone();
        found.push(match &member.dialled {
            Dialled::No => Check::ok(Topic::Mongo, subject, format!("{state}, which nobody dials")),
            Dialled::Silent(why) | Dialled::Failed(why) => {
                Check::fail(Topic::Mongo, subject, why.clone(), REACH)
            }
            Dialled::Answered(answer) if answer.locked => {
                let mend =
                    "infra snapshot --release-stale releases what a killed run of this machine has left";
                Check::warn(Topic::Mongo, subject, format!("{state}, and locked"), mend)
            }
            Dialled::Answered(answer) if locks && !answer.missing_rights.is_empty() => {
                let said = format!("{state}; our user may not: {}", answer.missing_rights.join(", "));
                Check::fail(Topic::Mongo, subject, said, "docs/mongo.md has the rights that snapshots need")
            }
            Dialled::Answered(_) => Check::ok(Topic::Mongo, subject, state),
        });
    }
    if !survey.members.iter().any(|member| member.state == 1) {
        let mend = "changes and snapshots wait for one: look at rs.status() on a member";
        found.push(Check::fail(Topic::Mongo, name, "the set has no primary now", mend));
    }
    found
}
