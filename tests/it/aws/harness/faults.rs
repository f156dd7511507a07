//! The proxy of faults, with boto3 behind it, which does not try again.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::support::{
    emulator::{Emulator, boto3},
    fault_proxy::{Fault, FaultProxy, Moment, Seen, When},
};

/// Makes a parameter group and tells how that ended, then whether the group is there.
const MAKE: &str = "
rds = client('rds')
try:
    rds.create_db_parameter_group(DBParameterGroupName='g', DBParameterGroupFamily='aurora-postgresql16', Description='d')
    print('made')
except ClientError as error:
    print(error.response['ResponseMetadata']['HTTPStatusCode'], error.response['Error']['Code'])
except Exception as error:
    print(type(error).__name__)
print(len(rds.describe_db_parameter_groups()['DBParameterGroups']))
";

/// What a client sees of a fault, and whether the call was carried out all the same.
#[track_caller]
fn ends(fault: &Fault, seen: &str, carried_out: bool) {
    let emulator = Emulator::start();
    let proxy = FaultProxy::start(emulator.port());
    proxy.inject(When::Action("CreateDBParameterGroup", 1), fault.clone());
    let said = boto3(&proxy.url(), MAKE);
    assert_eq!(said, format!("{seen}\n{}\n", u8::from(carried_out)), "{fault:?}");
    assert_eq!(emulator.count("CreateDBParameterGroup"), usize::from(carried_out));
    let call = Seen { service: "rds".into(), action: "CreateDBParameterGroup".into() };
    assert_eq!(proxy.struck(), [(call, fault.clone())]);
}

#[test]
fn refusals_never_reach_the_emulator() {
    ends(&Fault::Throttled, "400 Throttling", false);
    ends(&Fault::Status(500), "500 InternalFailure", false);
    ends(&Fault::Status(503), "503 ServiceUnavailable", false);
    ends(&Fault::Conflict, "409 ConcurrentModification", false);
    ends(&Fault::Html(502), "502 502", false);
    // boto3 takes the page for the answer, and misses what should be in it.
    ends(&Fault::Html(200), "KeyError", false);
}

#[test]
fn connections_are_reset_before_and_after() {
    ends(&Fault::ResetBefore, "ConnectionClosedError", false);
    ends(&Fault::ResetAfter, "ConnectionClosedError", true);
    ends(&Fault::CutOff, "ResponseParserError", true);
}

/// Not an orderly end of the stream, which some clients take for the end of an answer.
#[test]
fn a_reset_is_a_reset() {
    let emulator = Emulator::start();
    let proxy = FaultProxy::start(emulator.port());
    proxy.inject(When::Call(1), Fault::ResetBefore);
    proxy.inject(When::Call(2), Fault::ResetAfter);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.url().strip_prefix("http://").unwrap()).unwrap();
        stream.write_all(b"GET /_emulator/calls HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let ended = stream.read(&mut [0]).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn answers_drip_and_are_delayed() {
    let emulator = Emulator::start();
    let proxy = FaultProxy::start(emulator.port());
    let start = Instant::now();
    assert_eq!(boto3(&proxy.url(), MAKE), "made\n1\n");
    let plain = start.elapsed();
    proxy.reset();
    proxy.inject(When::Call(1), Fault::Slow(Duration::from_secs(2)));
    proxy.delay(Duration::from_millis(500));
    let start = Instant::now();
    assert_eq!(boto3(&proxy.url(), &MAKE.replace("'g'", "'h'")), "made\n2\n");
    // How long the rest takes is for the machine to say.
    assert!(start.elapsed() > Duration::from_millis(2500), "{plain:?} {:?}", start.elapsed());
}

/// Numbers count everything, or what changes something, or one action; hooks see the world before and after.
#[test]
fn calls_are_counted_and_hooks_run_where_they_should() {
    let emulator = Arc::new(Emulator::start());
    let proxy = FaultProxy::start(emulator.port());
    let heard = Arc::new(Mutex::new(Vec::new()));
    for (moment, name) in [(Moment::Before, "before"), (Moment::After, "after")] {
        let (heard, emulator) = (heard.clone(), emulator.clone());
        let note = move |seen: &Seen| {
            heard.lock().unwrap().push(format!("{name} {} {}", seen.action, emulator.count(&seen.action)));
        };
        proxy.hook(When::Change(1), moment, Box::new(note));
    }
    proxy.inject(When::Every("DescribeScalableTargets"), Fault::Throttled);
    let said = boto3(
        &proxy.url(),
        &format!(
            "client('iam').list_roles()
{MAKE}
try:
    client('application-autoscaling').describe_scalable_targets(ServiceNamespace='rds')
except ClientError as error:
    print(error.response['Error']['Code'])"
        ),
    );
    assert_eq!(said, "made\n1\nThrottlingException\n");
    let expected = ["before CreateDBParameterGroup 0", "after CreateDBParameterGroup 1"];
    assert_eq!(*heard.lock().unwrap(), expected);
    let calls: Vec<String> =
        proxy.calls().iter().map(|call| format!("{} {}", call.service, call.action)).collect();
    let expected = [
        "iam ListRoles",
        "rds CreateDBParameterGroup",
        "rds DescribeDBParameterGroups",
        "application-autoscaling DescribeScalableTargets",
    ];
    assert_eq!(calls, expected);
    assert_eq!(proxy.count("ListRoles"), 1);
}
