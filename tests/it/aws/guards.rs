//! Whose account it is, and as whom; and that nothing secret is ever told.

use std::fs;

use serde_json::json;

use super::{
    account::{Account, HEAD},
    attributes::environment,
    served::Served,
};
use crate::support::{
    emulator::{ACCESS_KEY, MASTER_PASSWORD, SECRET_KEY, session},
    fault_proxy::FaultProxy,
    sandbox::Ran,
    verifier::Key,
};

const OTHER: &str = "444455556666";

#[test]
fn another_account_is_refused() {
    let account = Account::without_postgres();
    let yaml = format!("{}{}", HEAD.replace("111122223333", OTHER), environment(""));
    account.write_as("prod", &yaml);
    for arguments in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["destroy", "--auto-approve"],
        &["import", "--adopt", "aurora_cluster.main"],
        &["verify"],
    ] {
        account.calls();
        let refused = account.infra(arguments).expect(3);
        assert_eq!(account.calls(), ["sts:GetCallerIdentity"], "{arguments:?}");
        let expected = "these credentials are of account 111122223333 (arn:aws:iam::111122223333:user/operator), \
            but the environment declares account 444455556666; nothing was read or changed";
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

/// What another environment has marked, and what cannot be read: AWS sees not one write.
#[test]
fn nothing_is_written() {
    let services = "services: {orders: {service_account: a/b}}\n";
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_role.*"];
    account.write(&(environment("readers: 1") + services));
    account.apply();
    account.write(&(environment("readers: 2") + services));
    let mark = |environment: &str| {
        let script = "rds = of('rds')
arn = rds.describe_db_clusters()['DBClusters'][0]['DBClusterArn']
rds.add_tags_to_resource(ResourceName=arn, Tags=[{'Key': 'infra:env', 'Value': asked}])";
        account.script(script, &json!(environment));
        account.calls();
    };
    mark("test");
    let refused = account.infra(&["apply", "--auto-approve"]).expect(3);
    assert_eq!(account.writes(), [""; 0]);
    let said = "aurora_cluster.main carries the mark of environment test";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    let guards = account.plan()["guards"].clone();
    assert_eq!(guards[0]["guard"], "other_environment");
    assert_eq!(guards[0]["addresses"], json!(["aurora_cluster.main"]));
    mark("prod");
    // Unreadable is not absent: nothing is made that may be there, and nothing else is done either.
    account.emulator.settings(&json!({"denied": ["iam:GetAccountAuthorizationDetails", "iam:ListRoles"]}));
    account.calls();
    let failed = account.infra(&["apply", "--auto-approve"]).expect(1);
    assert_eq!(account.writes(), [""; 0]);
    assert!(failed.stderr.contains("could not be read"), "{}", failed.stderr);
    account.emulator.settings(&json!({"denied": []}));
    account.apply();
    account.settled();
}

/// In another account, by a role there; the logins' tokens are signed with its credentials too.
#[test]
fn a_role_is_assumed() {
    let account = Account::with_principals();
    let head = HEAD.replace("111122223333", OTHER).replace(
        "region: eu-central-1",
        &format!("region: eu-central-1, role_arn: \"arn:aws:iam::{OTHER}:role/infra\""),
    );
    let served = Served::of(OTHER, "prod-main");
    let port = account.emulator.port();
    served.verifier.look_up(Box::new(move |access_key| {
        let session = session(port, access_key)?;
        Some(Key { secret: session.secret, session_token: Some(session.token) })
    }));
    account.write_as(
        "prod",
        &format!(
            "{head}clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b], \
             connection: {}}}\nservices: {{orders: {{service_account: a/b}}}}\n",
            served.version(),
            served.connection()
        ),
    );
    account.apply();
    account.settled();
    let accepted = served.verifier.accepted();
    assert!(!accepted.is_empty() && accepted.iter().all(|one| one.access_key != ACCESS_KEY), "{accepted:?}");
    assert!(account.calls().contains(&"sts:AssumeRole".to_owned()));
    assert_eq!(account.left(), Vec::<String>::new(), "nothing is in the account of the caller");
}

/// Who may not become it is told so, and a role of another account is no way around the declared one.
#[test]
fn a_role_that_does_not_do() {
    let account = Account::without_postgres();
    let head = |role: &str| {
        HEAD.replace(
            "region: eu-central-1",
            &format!("region: eu-central-1, role_arn: \"arn:aws:iam::{role}:role/infra\""),
        )
    };
    account.write_as("prod", &format!("{}{}", head(OTHER), environment("")));
    let refused = account.infra(&["plan"]).expect(3);
    assert!(refused.stderr.contains("credentials are of account 444455556666"), "{}", refused.stderr);
    account.emulator.settings(&json!({"denied": ["sts:AssumeRole"]}));
    account.calls();
    let failed = account.infra(&["plan"]).expect(1);
    assert!(failed.stderr.contains("not authorized to perform: sts:AssumeRole"), "{}", failed.stderr);
    assert_eq!(account.calls(), ["sts:AssumeRole"]);
}

fn without(account: &Account, variables: &[&str], arguments: &[&str]) -> Ran {
    let mut command = account.command(arguments);
    for variable in variables {
        command.env_remove(variable);
    }
    crate::support::sandbox::run(command)
}

#[test]
fn without_credentials() {
    let account = Account::without_postgres();
    account.write(&environment(""));
    let failed = without(&account, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], &["plan"]).expect(1);
    let expected = "no credentials for AWS were found";
    assert!(failed.stderr.contains(expected) && failed.stderr.contains("aws sso login"), "{}", failed.stderr);
    assert_eq!(account.calls(), Vec::<String>::new());
}

/// What is expired is told by the first call; who may do less is told what is missing.
#[test]
fn expired_or_not_allowed() {
    let account = Account::without_postgres();
    account.write(&environment(""));
    let expired = json!({"GetCallerIdentity": {"code": "ExpiredToken", "message": "The security token included in the request is expired"}});
    account.emulator.settings(&json!({"refusals": expired}));
    let failed = account.infra(&["plan"]).expect(1);
    let expected = "sts:GetCallerIdentity was refused: The security token included in the request is expired (ExpiredToken";
    assert!(failed.stderr.contains(expected), "{}", failed.stderr);
    account.emulator.settings(&json!({"refusals": {}, "denied": ["rds:DescribeDBInstances"]}));
    let failed = account.infra(&["plan"]).expect(1);
    let expected =
        "rds:DescribeDBInstances was refused: User is not authorized to perform: rds:DescribeDBInstances";
    assert!(failed.stderr.contains(expected), "{}", failed.stderr);
    // In the middle of an apply: what was done stays done, and is told.
    account.emulator.settings(&json!({"denied": ["rds:CreateDBCluster"]}));
    let failed = account.infra(&["apply", "--auto-approve"]).expect(6);
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(said.contains("rds:CreateDBCluster was refused: User is not authorized"), "{said}");
    assert!(said.contains("Not attempted: 2."), "{said}");
    account.emulator.settings(&json!({"denied": []}));
    account.apply();
    account.settled();
}

#[test]
fn an_endpoint_of_this_machine() {
    let account = Account::without_postgres();
    account.emulator.settings(&json!({"polls": 1}));
    let head = HEAD.replace("region: eu-central-1", "region: eu-central-1, endpoint_url: {env: AWS_HERE}");
    account.write_as("prod", &format!("{head}{}", environment("")));
    let failed = without(&account, &["AWS_ENDPOINT_URL"], &["plan"]).expect(1);
    let expected = "platform.aws.endpoint_url comes from the variable AWS_HERE, which is not set";
    assert!(failed.stderr.contains(expected), "{}", failed.stderr);
    let proxy = FaultProxy::start(account.emulator.port());
    let mut command = account.command(&["plan", "--detailed-exitcode"]);
    command.env_remove("AWS_ENDPOINT_URL").env("AWS_HERE", proxy.url());
    crate::support::sandbox::run(command).expect(2);
    // Every service goes there.
    let services: std::collections::BTreeSet<String> =
        proxy.calls().into_iter().map(|call| call.service).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), ["application-autoscaling", "iam", "rds", "sts"]);
}

/// The parts of the secret that would give it away, wherever they might be written.
fn tells_nothing(what: &str, text: &str) {
    for secret in [MASTER_PASSWORD, SECRET_KEY, "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"]
    {
        assert!(!text.contains(secret), "{what} tells {secret}");
    }
}

#[test]
fn nothing_secret_is_told() {
    let account = Account::with_principals();
    let served = Served::start(&account, "prod-main");
    account.write(&format!(
        "clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b], connection: {}}}\n\
         services: {{orders: {{service_account: a/b}}}}\npeople: {{ana: {{principal: \"arn:aws:iam::111122223333:user/ana\"}}}}\n",
        served.version(),
        served.connection()
    ));
    let mut told = 0;
    let mut run = |arguments: &[&str], variables: &[(&str, &str)], code: i32| {
        let mut command = account.command(arguments);
        command
            .args(["-v", "-v", "-v"])
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .envs(variables.iter().copied());
        let ran = crate::support::sandbox::run(command);
        tells_nothing(&arguments.join(" "), &format!("{}{}", ran.stdout, ran.stderr));
        told += ran.stdout.len() + ran.stderr.len();
        ran.expect(code)
    };
    run(&["plan", "-o", "plan.file", "--json-into", "plan.json"], &[], 0);
    run(&["plan", "--json"], &[], 0);
    // The master is refused first: its password is in no error.
    served.server.superuser("postgres", "ALTER ROLE infra_master NOLOGIN");
    let refused = run(&["apply", "--auto-approve", "--json"], &[], 6);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("infra_master"), "{refused:?}");
    served.server.superuser("postgres", "ALTER ROLE infra_master LOGIN");
    run(&["apply", "--auto-approve"], &[], 0);
    run(&["plan", "--detailed-exitcode"], &[], 0);
    run(&["verify", "--all"], &[], 0);
    // Tokens that the server does not believe.
    let wrong = [("AWS_SECRET_ACCESS_KEY", "another-secret-that-is-not-the-right-one")];
    let refused = run(&["plan"], &wrong, 1);
    assert!(refused.stderr.contains("infra_planner"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(wrong[0].1), "{}", refused.stderr);
    run(&["apply", "--auto-approve"], &wrong, 1);
    run(&["destroy", "--auto-approve", "--allow-destroy=all"], &[], 0);
    run(&["history", "--json"], &[], 0);
    // One that failed, one that did not, and the end; the one without a login had nothing to record.
    let records = fs::read_dir(account.folder().join(".infra/prod/history")).unwrap().count();
    assert_eq!(records, 3);
    assert!(told > 20_000, "the runs said next to nothing");

    // Nor is it in what lies about.
    let mut files = vec![account.folder().to_owned()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            read += 1;
            tells_nothing(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
    assert!(read >= 3, "the plan, its JSON and the YAML at least");
    // And the server was not told a password by name either.
    assert!(!served.server.log().contains(MASTER_PASSWORD));
}
