//! The servers that the tests of AWS rest on are tested themselves.

mod faults;
mod logins;

use std::{path::Path, process::Command};

use serde_json::json;

use crate::support::emulator::{
    ACCOUNT, Emulator, REGION, environment, instance_endpoint, python, reader_endpoint, writer_endpoint,
};

/// What infra relies on in the emulator is asserted with another client.
#[test]
fn the_emulator_behaves_as_aws_does() {
    let emulator = Emulator::start_with(
        ACCOUNT,
        &[("EMULATOR_PRINCIPALS", "arn:aws:iam::111122223333:user/ana,arn:aws:iam::111122223333:user/boris")],
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/check.py");
    let output = Command::new(python())
        .arg(script)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(environment(&emulator.url()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn calls_are_counted_and_endpoints_known_beforehand() {
    let emulator = Emulator::start();
    emulator.settings(&json!({"polls": 1}));
    let shown = emulator.boto3(
        "rds = client('rds')
rds.create_db_subnet_group(DBSubnetGroupName='g', DBSubnetGroupDescription='g', SubnetIds=['subnet-1', 'subnet-2'])
made = rds.create_db_cluster(DBClusterIdentifier='main', Engine='aurora-postgresql', MasterUsername='infra_master',
    ManageMasterUserPassword=True, DBSubnetGroupName='g')['DBCluster']
rds.describe_db_clusters()
rds.create_db_instance(DBInstanceIdentifier='main-1', DBClusterIdentifier='main', Engine='aurora-postgresql',
    DBInstanceClass='db.r6g.large')
rds.describe_db_instances()
instance = rds.describe_db_instances()['DBInstances'][0]
print(made['Endpoint'], made['ReaderEndpoint'], instance['Endpoint']['Address'])",
    );
    let expected = [
        writer_endpoint(ACCOUNT, REGION, "main"),
        reader_endpoint(ACCOUNT, REGION, "main"),
        instance_endpoint(ACCOUNT, REGION, "main-1"),
    ];
    assert_eq!(shown.trim(), expected.join(" "));
    assert_eq!(emulator.count("DescribeDBInstances"), 2);
    let call = emulator.calls().remove(1);
    assert_eq!((call.service.as_str(), call.action.as_str(), call.status), ("rds", "CreateDBCluster", 200));
    emulator.reset_calls();
    assert_eq!(emulator.calls(), []);
}

/// Credentials of a session belong to the account of its role, whatever the account of the caller.
#[test]
fn an_assumed_role_is_in_its_own_account() {
    let emulator = Emulator::start();
    let shown = emulator.boto3(
        "sts = client('sts')
print(sts.get_caller_identity()['Account'])
given = sts.assume_role(RoleArn='arn:aws:iam::444455556666:role/infra', RoleSessionName='test')['Credentials']
print(given['AccessKeyId'])
there = client('sts', aws_access_key_id=given['AccessKeyId'], aws_secret_access_key=given['SecretAccessKey'],
    aws_session_token=given['SessionToken'])
print(there.get_caller_identity()['Arn'])",
    );
    let lines: Vec<&str> = shown.lines().collect();
    let role = "arn:aws:sts::444455556666:assumed-role/infra/test";
    assert_eq!((lines[0], lines[2]), (emulator.account(), role));
    assert_eq!(emulator.session(lines[1]).unwrap().arn, role);
}
