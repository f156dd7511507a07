use mongodb::bson::{DateTime, Timestamp as Written, doc};

use super::*;

#[test]
fn nothing_that_is_missing_or_odd_is_a_failure() {
    let odd = doc! {
        "setName": 7, "secondary": "yes", "topologyVersion": {"processId": "x"}, "members": {"a": 1},
        "inprog": [1, "x", {"opid": "shard:1", "command": "fsync"}], "fsyncLock": Bson::Null,
        "config": [], "authInfo": {"authenticatedUsers": 3}, "storageEngine": [], "lockCount": "1",
        "lastWrite": {"opTime": {"ts": 5}},
    };
    for document in [doc! {}, odd] {
        assert_eq!(hello(&document), Hello::default());
        assert_eq!(status(&document), SetStatus::default());
        assert_eq!(configuration(&document), None);
        assert_eq!(lock_state(&document), LockState::default());
        assert_eq!(lock_count(&document), None);
        assert_eq!((storage(&document).engine, storage(&document).journaled), (None, None));
    }
    // Without an answer nothing is allowed; with one that names nobody, nobody is asked.
    assert!(!rights(&doc! {}).allows("fsync"));
    assert!(rights(&doc! {"authInfo": {"authenticatedUsers": []}}).allows("fsync"));
}

#[test]
fn hello_of_each_kind() {
    let process = ObjectId::new();
    let secondary = doc! {
        "setName": "rs0", "me": "a:1", "primary": "b:1", "secondary": true, "isWritablePrimary": false,
        "topologyVersion": {"processId": process, "counter": 3_i64},
        "lastWrite": {"opTime": {"ts": Written { time: 5, increment: 6 }, "t": 7_i64}},
    };
    let secondary = hello(&secondary);
    assert!(secondary.secondary && !secondary.writable && !secondary.router && !secondary.uninitiated);
    assert_eq!(secondary.process, Some(process.to_hex()));
    assert_eq!(secondary.applied, Some(OpTime { t: 5, i: 6, term: 7 }));
    assert!(hello(&doc! {"msg": "isdbgrid", "isWritablePrimary": true}).router);
    assert!(hello(&doc! {"isreplicaset": true, "info": "no config"}).uninitiated);
    assert!(hello(&doc! {"configsvr": 2, "setName": "c"}).config_server);
}

#[test]
fn a_status() {
    let moment = DateTime::from_millis(1_795_478_605_123);
    let read = status(&doc! {
        "set": "rs0", "majorityVoteCount": 2, "writeMajorityCount": 2.0,
        "members": [
            {"name": "a:1", "state": 1, "stateStr": "PRIMARY", "health": 1.0, "optimeDate": moment,
             "syncSourceHost": "", "infoMessage": ""},
            {"name": "b:1", "state": 8, "stateStr": "(not reachable/healthy)", "health": 0.0,
             "optimeDate": DateTime::from_millis(0), "lastHeartbeatMessage": "refused"},
        ],
    });
    assert_eq!((read.majority_votes, read.write_majority), (2, 2));
    assert_eq!(read.members[0].optime.as_millisecond(), 1_795_478_605_123);
    assert_eq!((read.members[0].healthy, read.members[0].sync_source.as_deref()), (true, None));
    assert_eq!((read.members[1].healthy, read.members[1].message.as_deref()), (false, Some("refused")));
}

#[test]
fn a_configuration() {
    let id = ObjectId::new();
    let read = configuration(&doc! {"config": {
        "_id": "rs0", "settings": {"replicaSetId": id, "electionTimeoutMillis": 2000},
        "members": [
            {"host": "a:1", "priority": 0.5, "votes": 1, "buildIndexes": true, "tags": {"dc": "x"}},
            {"host": "b:1", "hidden": true, "priority": 0, "votes": 0_i64, "slaveDelay": 60_i64,
             "buildIndexes": false},
            {"host": "c:1", "arbiterOnly": true},
        ],
    }})
    .unwrap();
    assert_eq!((read.id.as_str(), read.election_timeout), (id.to_hex().as_str(), Duration::from_secs(2)));
    let [a, b, c] = read.members.as_slice() else { panic!("{read:?}") };
    assert!((a.priority - 0.5).abs() < f64::EPSILON && a.builds_indexes && a.tags["dc"] == "x");
    assert!(b.hidden && b.votes == 0 && b.delay == Duration::from_mins(1) && !b.builds_indexes);
    assert!(c.arbiter && c.votes == 1 && c.builds_indexes);
}

#[test]
fn rights_are_those_of_the_server_as_a_whole() {
    let privileges = |resource: Document| {
        doc! {"authInfo": {
            "authenticatedUsers": [{"user": "u", "db": "admin"}],
            "authenticatedUserPrivileges": [{"resource": resource, "actions": ["fsync", "unlock"]}],
        }}
    };
    assert!(rights(&privileges(doc! {"cluster": true})).allows("unlock"));
    assert!(!rights(&privileges(doc! {"cluster": true})).allows("inprog"));
    assert!(rights(&privileges(doc! {"anyResource": true})).allows("fsync"));
    assert!(!rights(&privileges(doc! {"db": "", "collection": ""})).allows("fsync"));
}

#[test]
fn who_locks() {
    let waiting = lock_state(&doc! {"fsyncLock": true, "inprog": [
        {"desc": "conn7", "opid": 41, "active": true, "command":
            {"fsync": 1, "lock": true, "comment": "infra:r1"}},
        {"desc": "fsyncLockWorker", "opid": 42_i64, "active": false, "waitingForLock": true},
        {"desc": "conn8", "opid": 43, "active": true, "command": {"currentOp": 1}},
    ]});
    assert_eq!(waiting.worker, Some(Worker { opid: 42, held: false }));
    assert!(waiting.locked() && waiting.waits_for("infra:r1") && !waiting.waits_for("infra:r2"));
    assert_eq!((waiting.highest_opid, waiting.building_index), (43, false));
    let held = lock_state(&doc! {"fsyncLock": true, "inprog": [
        {"desc": "fsyncLockWorker", "opid": 42, "active": true, "waitingForLock": false},
    ]});
    assert_eq!(held.worker, Some(Worker { opid: 42, held: true }));
    // A flush is no lock.
    let flush = lock_state(&doc! {"inprog": [{"opid": 1, "command": {"fsync": 1}}]});
    assert!(!flush.locked());
    let building = lock_state(&doc! {"inprog": [{"desc": "IndexBuildsCoordinatorMongod-2", "opid": 1}]});
    assert!(building.building_index && !building.locked());
}
