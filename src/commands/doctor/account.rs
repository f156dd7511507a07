//! The account on AWS: who we are there, what may be done, and how far the clocks are apart.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{super::session::Session, clock, ledger, servers, within};
use crate::{
    model::environment::MongoAuthentication,
    providers::{
        ReadOnly,
        aws::{Asked, Aws, AwsError, DENIED, Identity, Reached, Settings},
        postgres::{ADMIN, PLANNER},
    },
    report::checks::{Check, Topic},
};

const LOG_IN: &str = "log in with `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
const POLICIES: &str = "examples/aws-policies has the least that planning and applying need";
/// Credentials that end sooner may not last for an apply that makes a cluster.
const SOON: i64 = 1800;
/// Free places for roles below which it is time to ask for more.
const FEW: i64 = 50;

pub(super) async fn checks(session: &Session, settings: &Settings, limit: Duration) -> Vec<Check> {
    let services = services(session);
    let (examined, reached) = futures::join!(
        tokio::time::timeout(limit, Aws::<ReadOnly>::examine(settings)),
        tokio::time::timeout(limit, Aws::<ReadOnly>::reach(settings, &services))
    );
    let mut found = endpoints(reached.unwrap_or_default(), limit);
    let Ok(examined) = examined else {
        found.push(Check::fail(
            Topic::Credentials,
            "AWS",
            format!("sts:GetCallerIdentity gave no answer within {} ms", limit.as_millis()),
            "is there a way to AWS from here, or does it need HTTPS_PROXY?",
        ));
        found.extend(ledger::<ReadOnly>(session, None, limit).await);
        return found;
    };
    found.extend(credentials(&examined.identity, &settings.account));
    let (Some(aws), Ok(identity)) = (examined.aws, &examined.identity) else {
        let why = "not tried: these are not the credentials of the declared account";
        found.push(Check::warn(Topic::Rights, "AWS", why, "mend what stands above first"));
        if session.environment.ledger.as_ref().is_none_or(|ledger| !ledger.starts_with("s3://")) {
            found.extend(ledger::<ReadOnly>(session, None, limit).await);
        }
        return found;
    };
    let (reading, applying, ledger) = futures::join!(
        within(limit, Topic::Rights, "plan", Box::pin(reading(session, &aws))),
        within(limit, Topic::Rights, "apply", applying(session, &aws, identity)),
        ledger(session, Some(&aws), limit),
    );
    found.extend([reading, applying, ledger].concat());
    found.extend(Box::pin(servers::checks(session, Some(aws), limit)).await);
    found
}

/// What this environment has to do with.
fn services(session: &Session) -> Vec<&'static str> {
    let environment = &session.environment;
    let mut services = vec!["sts", "rds", "iam", "application-autoscaling"];
    let scram = |set: &crate::model::environment::MongoCluster| {
        !matches!(set.authentication, Some(MongoAuthentication::X509(_)))
    };
    if !environment.clusters.is_empty() || environment.mongo_clusters.values().any(scram) {
        services.push("secretsmanager");
    }
    if !session.interest().keys.is_empty() {
        services.push("kms");
    }
    if environment.ledger.as_ref().is_some_and(|ledger| ledger.starts_with("s3://")) {
        services.push("s3");
    }
    services
}

/// Whether each can be reached, and by how much the clocks differ at most.
fn endpoints(reached: Vec<Reached>, limit: Duration) -> Vec<Check> {
    if reached.is_empty() {
        let said = format!("no endpoint answered within {} ms", limit.as_millis());
        return vec![Check::fail(Topic::Endpoint, "AWS", said, "is there a way to AWS from here?")];
    }
    let mut found = Vec::new();
    let mut ahead: Option<i64> = None;
    for Reached { url, answer } in reached {
        found.push(match answer {
            Ok(seconds) => {
                ahead = ahead.into_iter().chain(seconds).max_by_key(|seconds| seconds.unsigned_abs());
                Check::ok(Topic::Endpoint, url, "answers")
            }
            Err(why) => Check::fail(
                Topic::Endpoint,
                url,
                why,
                "is there a way to it from here (a proxy, HTTPS_PROXY, a VPC endpoint), and is the region right?",
            ),
        });
    }
    found.extend(ahead.map(|ahead| clock("AWS", ahead)));
    found
}

fn credentials(identity: &Result<Identity, AwsError>, declared: &str) -> Vec<Check> {
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => {
            let mend = match error {
                AwsError::NoAnswer { .. } => "is there a way to AWS from here, or does it need HTTPS_PROXY?",
                _ => LOG_IN,
            };
            return vec![Check::fail(Topic::Credentials, "AWS", error.to_string(), mend)];
        }
    };
    let left = identity.ends.map(|ends| ends.as_second() - Timestamp::now().as_second());
    let until = identity.ends.map(|ends| ends.strftime(", until %Y-%m-%d %H:%M:%S UTC").to_string());
    let said = format!("{}{}", identity.arn, until.unwrap_or_default());
    let credentials = match left {
        Some(seconds) if seconds < SOON => {
            let mend = "log in again before an apply: making a cluster takes a quarter of an hour";
            Check::warn(Topic::Credentials, "AWS", said, mend)
        }
        _ => Check::ok(Topic::Credentials, "AWS", said),
    };
    let account = if identity.account == declared {
        Check::ok(Topic::Account, declared, "is the declared one")
    } else {
        let said = format!("these credentials are of account {}", identity.account);
        let mend = "take another profile (platform.aws.profile, AWS_PROFILE), or mend platform.aws.account";
        Check::fail(Topic::Account, declared, said, mend)
    };
    vec![credentials, account]
}

/// Everything that a plan reads, each call by itself.
async fn reading(session: &Session, aws: &Aws<ReadOnly>) -> Vec<Check> {
    let probe = aws.probe(&session.interest()).await;
    let failed = |said: String| Check::fail(Topic::Rights, "plan", said, POLICIES);
    let mut found: Vec<Check> = probe.refused.iter().map(|error| failed(error.to_string())).collect();
    found.extend(probe.unreadable.into_iter().map(failed));
    if found.is_empty() {
        found.push(Check::ok(Topic::Rights, "plan", "everything that a plan reads can be read"));
    }
    if let (Some(most), Some(used)) = (probe.quotas.get("RolesQuota"), probe.quotas.get("Roles")) {
        let said = format!("{used} of {most} roles");
        let mend = "ask for more in the AWS console under Service Quotas, or delete roles that nobody uses";
        found.push(if most - used < FEW {
            Check::warn(Topic::Quotas, "IAM", said, mend)
        } else {
            Check::ok(Topic::Quotas, "IAM", said)
        });
    }
    found
}

/// What an apply does, by the main calls of each kind. Whoever only plans needs none of it.
async fn applying(session: &Session, aws: &Aws<ReadOnly>, identity: &Identity) -> Vec<Check> {
    let context = [("aws:ResourceTag/infra:env", session.name.as_str())];
    match aws.may_not(identity, &needed(session, aws), &context).await {
        Ok(denied) if denied.is_empty() => {
            vec![Check::ok(Topic::Rights, "apply", "everything that an apply calls may be called")]
        }
        Ok(denied) => {
            let denied: BTreeSet<String> = denied;
            let said = format!("may not: {}", Vec::from_iter(denied).join(", "));
            vec![Check::warn(Topic::Rights, "apply", said, POLICIES)]
        }
        Err(error) => {
            let mend = if error.is(&DENIED) {
                "allow iam:SimulatePrincipalPolicy to have it checked; nothing else needs it"
            } else {
                "planning does not need it; try again"
            };
            vec![Check::warn(Topic::Rights, "apply", format!("cannot be told: {error}"), mend)]
        }
    }
}

fn needed(session: &Session, aws: &Aws<ReadOnly>) -> Vec<Asked> {
    let environment = &session.environment;
    let one = |actions: &[&'static str], resource: String| Asked { actions: actions.to_vec(), resource };
    let mut asked = Vec::new();
    for identifier in session.interest().clusters.keys() {
        asked.push(one(
            &["rds:CreateDBCluster", "rds:ModifyDBCluster", "rds:AddTagsToResource"],
            aws.arn("rds", &format!("cluster:{identifier}")),
        ));
        asked.push(one(
            &["rds:CreateDBInstance", "rds:ModifyDBInstance", "rds:RebootDBInstance"],
            aws.arn("rds", &format!("db:{identifier}-1")),
        ));
    }
    if !asked.is_empty() {
        asked.extend([PLANNER, ADMIN].map(|login| {
            one(&["rds-db:connect"], aws.arn("rds-db", &format!("dbuser:cluster-ANY/{login}")))
        }));
    }
    if !(environment.services.is_empty() && environment.people.is_empty()) {
        let name = &session.name;
        let role = aws.arn("iam", &format!("role/infra/{name}/infra-{name}-svc-any"));
        let actions = [
            "iam:CreateRole",
            "iam:PutRolePolicy",
            "iam:UpdateAssumeRolePolicy",
            "iam:TagRole",
            "iam:DeleteRole",
        ];
        asked.push(one(&actions, role));
    }
    let ledger = environment.ledger.as_deref().and_then(|ledger| ledger.strip_prefix("s3://"));
    if let Some(place) = ledger {
        let object = format!("arn:{}:s3:::{}/leases/apply", aws.partition, place.trim_end_matches('/'));
        asked.push(one(&["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], object));
    }
    asked
}
