//! The one time that the master's password is needed: disturbed around it, with a real Postgres.

use std::{sync::Mutex, thread};

use crate::{
    aws::world::{Cloud, REGIONS, Trouble, World},
    support::{
        emulator::{ACCESS_KEY, ACCOUNT, MASTER_PASSWORD, SECRET_KEY, reader_endpoint, writer_endpoint},
        fault_proxy::{Fault, Moment, Seen, When},
        stand_in::{self, StandIn},
        verifier::Verifier,
    },
};

/// Everybody who can log in, and what they are members of.
const ROLES: &str = "SELECT r.rolname, r.rolcanlogin, array(SELECT m.roleid::regrole::text || m.admin_option FROM \
    pg_auth_members m WHERE m.member = r.oid ORDER BY 1) FROM pg_roles r WHERE rolname !~ '^pg_' ORDER BY 1";
const SECRET: &str = "GetSecretValue";
/// By it a cluster is marked as one that knows us; nothing else is tagged in an apply from nothing.
const TAG: &str = "AddTagsToResource";
/// Another one, and what is in it.
const YAML: &str = "
    subnets: [subnet-a, subnet-b]
services: {orders: {service_account: checkout/orders}}
people: {ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}}
";

struct Server {
    world: World,
    stand_in: StandIn,
    _verifier: Verifier,
}

impl Server {
    fn new(cloud: &Cloud, region: &'static str) -> Self {
        let world = World::new(cloud, region).with_postgres();
        let cluster = format!("{}-main", world.environment);
        let hosts = [writer_endpoint, reader_endpoint].map(|host| host(ACCOUNT, region, &cluster));
        let verifier = Verifier::start(region);
        for host in &hosts {
            verifier.allow_endpoint(host, 5432);
        }
        verifier.know(ACCESS_KEY, SECRET_KEY, None);
        let stand_in = StandIn::start(&stand_in::Options {
            hosts: &hosts,
            master_password: MASTER_PASSWORD,
            ldap_port: verifier.port(),
            parameters: &[],
        });
        world.write(&format!(
            "clusters:\n  main:\n    engine_version: \"{}\"\n    instance_class: db.r6g.large\n    security_groups: [sg-1]\n    \
             connection: {{host: 127.0.0.1, port: {}, ca_file: {}}}{YAML}",
            stand_in.major(),
            stand_in.port(),
            stand_in.ca_file().display()
        ));
        Self { world, stand_in, _verifier: verifier }
    }
}

fn count(calls: &[Seen], action: &str) -> usize {
    calls.iter().filter(|seen| seen.action == action).count()
}

#[test]
fn around_the_bootstrap() {
    let cloud = Cloud::start();
    let undisturbed = Server::new(&cloud, REGIONS[0]);
    let ended = undisturbed.world.run("apply", &Trouble::None).expect(0);
    assert_eq!((count(&ended.calls, SECRET), count(&ended.calls, TAG)), (1, 1));
    let (estate, roles) =
        (undisturbed.world.look().estate, undisturbed.stand_in.superuser("postgres", ROLES));
    assert!(roles.contains("infra_admin|t|") && roles.contains("svc_orders_app"), "{roles}");
    let kill = |action, moment| Trouble::Kill(When::Action(action, 1), moment);
    let fault = |action, fault| Trouble::Faults(vec![(When::Action(action, 1), fault)]);
    let troubles = [
        (kill(SECRET, Moment::Before), 1),
        (kill(SECRET, Moment::After), 1),
        // The logins are made by then, and the master is not asked again.
        (kill(TAG, Moment::Before), 0),
        (kill(TAG, Moment::After), 0),
        (fault(TAG, Fault::Html(200)), 0),
        (fault(TAG, Fault::Conflict), 0),
        (fault(TAG, Fault::ResetAfter), 0),
        (fault(SECRET, Fault::Conflict), 1),
        (fault(SECRET, Fault::Html(200)), 1),
        (fault(SECRET, Fault::Throttled), 0),
        (fault(SECRET, Fault::ResetAfter), 0),
    ];
    let work = Mutex::new(troubles.into_iter().zip(&REGIONS[1..]));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let taken = work.lock().unwrap().next();
                    let Some(((trouble, asked), region)) = taken else { break };
                    let server = Server::new(&cloud, region);
                    let ended = server.world.run("apply", &trouble);
                    let code = ended.ran.as_ref().map(|ran| ran.code);
                    assert!([None, Some(0), Some(6)].contains(&code), "{trouble:?}: {:?}", ended.ran);
                    let again = server.world.run("apply", &Trouble::None).expect(0);
                    assert_eq!(count(&again.calls, SECRET), asked, "{trouble:?}");
                    let plan = server.world.run("plan", &Trouble::None).expect(0);
                    assert!(plan.ran.unwrap().stdout.contains("No changes."), "{trouble:?}");
                    assert_eq!(server.world.look().estate, estate, "{trouble:?}");
                    assert_eq!(server.stand_in.superuser("postgres", ROLES), roles, "{trouble:?}");
                    let _ = server.world.run("destroy", &Trouble::None).expect(0);
                    assert_eq!(server.world.look().ids.len(), 0, "{trouble:?}");
                }
            });
        }
    });
}
