//! Logging in by token, on a server that checks it.

use std::{
    collections::BTreeSet,
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};
use futures::future::BoxFuture;
use infra::{
    model::{environment::Tls, secret::Secret},
    providers::{
        ReadOnly, ReadWrite,
        aws::token::Signer,
        postgres::{
            ADMIN, Access, Bootstrapped, Ending, Endpoint, PLANNER, Place, Postgres, Route, Script, SqlError,
            Task, Tokens,
        },
    },
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{
    BARE, HOST, PORT, SECRET_KEY, Server, config, endpoint, good, iam, login, password, refused, routes,
    signer, told,
};
use crate::support::{sandbox::Sandbox, stand_in::MASTER, verifier::Refusal};

const MEMBERS: &str = "SELECT string_agg(concat_ws(' ', m.member::regrole, m.roleid::regrole, m.admin_option), ', ' \
    ORDER BY m.member::regrole::text, m.roleid::regrole::text) FROM pg_auth_members m \
    WHERE m.member::regrole::text IN ('infra_admin', 'infra_planner')";
const MADE: &str = "infra_admin rds_iam f, infra_admin rds_superuser t, infra_planner rds_iam f";

#[tokio::test]
async fn the_master_makes_the_logins_once() {
    let (server, admin) = Server::bootstrapped().await;
    let planner = Postgres::<ReadOnly>::new(server.login(PLANNER, iam()));
    planner.ping(&endpoint()).await.unwrap();
    assert_eq!(server.ask(MEMBERS), MADE);
    // The master is not asked again.
    let unasked = async || Err("the secret is nobody's business".into());
    assert_eq!(admin.bootstrap(&endpoint(), unasked).await.unwrap(), Bootstrapped::Already);
    // The admin may do what it is for.
    let script = Script::transaction(
        Place::Maintenance,
        vec!["CREATE ROLE \"app\" LOGIN".into(), "GRANT \"rds_iam\" TO \"app\"".into()],
    );
    let endings = admin.run(&endpoint(), &[Task { script }]).await;
    assert!(matches!(endings[..], [Ending::Done]), "{endings:?}");
    admin.close().await;
    let acl = server.ask("SELECT datacl::text FROM pg_database WHERE datname = 'postgres'");
    assert_eq!(
        acl,
        "{infra_master=CTc/infra_master,infra_admin=c/infra_master,infra_planner=c/infra_master}"
    );
    // Its password is still good: it has become no member of rds_iam by what it made.
    Postgres::<ReadOnly>::new(server.login(MASTER, password())).ping(&endpoint()).await.unwrap();
}

/// On every major version, where no tokens are needed; and where the master would become a member of what it makes.
#[tokio::test]
async fn the_bootstrap_is_the_same_on_all_versions() {
    for major in ["15", "16", "17", "18"] {
        let sandbox = Sandbox::new(major, "");
        let _ = sandbox.apply();
        let mut superuser = sandbox.superuser("postgres").await;
        // A database of somebody else's, so that what the master may not do is left out.
        let mut sql = "ALTER DATABASE postgres OWNER TO rdsadmin; DROP OWNED BY infra_admin, infra_planner; \
            DROP ROLE infra_admin, infra_planner; CREATE ROLE master LOGIN CREATEDB CREATEROLE; \
            GRANT rds_superuser TO master WITH ADMIN OPTION; GRANT CONNECT ON DATABASE postgres TO PUBLIC"
            .to_owned();
        if major != "15" {
            sql.push_str("; ALTER ROLE master SET createrole_self_grant = 'set, inherit'");
        }
        crate::support::sandbox::sql(&mut superuser, &sql).await.unwrap();
        let endpoint = Endpoint { host: "127.0.0.1".into(), port: sandbox.port().await, ..endpoint() };
        let trust = |user| login(user, Access::Trust, infra::providers::postgres::Routes::default());
        let admin = Postgres::<ReadWrite>::new(trust(ADMIN));
        let made = admin.bootstrap(&endpoint, async || Ok(trust("master"))).await.unwrap();
        assert_eq!(made, Bootstrapped::Made);
        let unasked = async || Err("the secret is nobody's business".into());
        assert_eq!(admin.bootstrap(&endpoint, unasked).await.unwrap(), Bootstrapped::Already);
        let mut ask = async |sql| {
            let rows = crate::support::sandbox::sql(&mut superuser, sql).await.unwrap();
            rows[0][0].clone().unwrap()
        };
        assert_eq!(ask(MEMBERS).await, MADE);
        assert_eq!(ask("SELECT pg_has_role('master', 'rds_iam', 'USAGE')").await, "f");
        let script = Script::transaction(
            Place::Maintenance,
            vec!["CREATE ROLE \"app\" LOGIN".into(), "GRANT \"rds_iam\" TO \"app\"".into()],
        );
        let endings = admin.run(&endpoint, &[Task { script }]).await;
        assert!(matches!(endings[..], [Ending::Done]), "{endings:?}");
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_completed() {
    let server = Server::new();
    // Neither may be taken for ready: one has no rights, one does not log in.
    server.ask("CREATE ROLE infra_admin LOGIN; GRANT rds_iam TO infra_admin; CREATE ROLE infra_planner");
    let admin = Postgres::<ReadWrite>::new(server.login(ADMIN, iam()));
    let none = async || Err("there is no such secret".into());
    let error = admin.bootstrap(&endpoint(), none).await.unwrap_err();
    assert_eq!(
        told(&error),
        "cluster main has no infra_admin yet, and how its master logs in is unknown: there is no such secret"
    );
    let wrong = async || Ok(server.login(MASTER, Access::Password(Secret::new("canary wrong".into()))));
    let error = told(&admin.bootstrap(&endpoint(), wrong).await.unwrap_err());
    assert!(
        error.starts_with(
            "cluster main: its master infra_master could not make infra_admin and infra_planner: cannot connect"
        ) && error.contains("the password may have been rotated just now"),
        "{error}"
    );
    let master = async || Ok(server.login(MASTER, password()));
    assert_eq!(admin.bootstrap(&endpoint(), master).await.unwrap(), Bootstrapped::Made);
    assert_eq!(server.ask(MEMBERS), MADE);
}

/// Signs for somebody, or somewhere, else; and counts.
#[derive(Debug)]
struct Other {
    signer: Signer,
    user: Option<&'static str>,
    host: Option<&'static str>,
    made: Arc<AtomicUsize>,
}

impl Other {
    fn new(signer: Signer) -> Self {
        Self { signer, user: None, host: None, made: Arc::default() }
    }
}

type Made<'a> = BoxFuture<'a, Result<Secret<String>, Box<dyn Error + Send + Sync>>>;

impl Tokens for Other {
    fn token<'a>(&'a self, endpoint: &'a Endpoint, user: &'a str) -> Made<'a> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let host = self.host.unwrap_or(&endpoint.host).to_owned();
        Box::pin(async move {
            let endpoint = Endpoint { host, ..endpoint.clone() };
            self.signer.token(&endpoint, self.user.unwrap_or(user)).await
        })
    }
}

/// Signs for another region than the endpoint's.
#[derive(Debug)]
struct Astray;

impl Tokens for Astray {
    fn token<'a>(&'a self, endpoint: &'a Endpoint, user: &'a str) -> Made<'a> {
        Box::pin(async move {
            let of = Config::builder().hostname(&endpoint.host).port(u64::from(endpoint.port)).username(user);
            let of = of.region(aws_config::Region::new("eu-west-1")).build()?;
            let token = AuthTokenGenerator::new(of).auth_token(&config(SECRET_KEY, Duration::ZERO)).await?;
            Ok(Secret::new(token.to_string()))
        })
    }
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_and_explained() {
    let (server, _) = Server::bootstrapped().await;
    let old = signer(SECRET_KEY, Duration::from_mins(16), "us-west-2");
    let stranger = signer("another", Duration::ZERO, "us-west-2");
    let other_host = "main.cluster-c1abcdefghij.eu-west-1.rds.amazonaws.com";
    let cases: [(Arc<dyn Tokens>, Refusal); 5] = [
        (Arc::new(Other { user: Some(ADMIN), ..Other::new(good()) }), Refusal::User(ADMIN.into())),
        (Arc::new(old), Refusal::Expired),
        (
            Arc::new(Other { host: Some(other_host), ..Other::new(good()) }),
            Refusal::Host(format!("{other_host}:{PORT}")),
        ),
        (Arc::new(Astray), Refusal::Region("eu-west-1".into())),
        (Arc::new(stranger), Refusal::Signature),
    ];
    for (tokens, refusal) in cases {
        server.verifier.reset();
        let told = refused(server.login(PLANNER, Access::iam(tokens)), &endpoint()).await;
        assert_eq!(server.refusals(PLANNER), [refusal]);
        assert_eq!(
            told,
            format!(
                "cannot connect to database postgres as infra_planner at {HOST}:5432 (through 127.0.0.1:{}): LDAP \
                 authentication failed for user \"infra_planner\" (SQLSTATE 28000): the AWS identity that signs may not \
                 rds-db:connect as infra_planner to this cluster's resource id, its credentials have expired or been \
                 revoked, or this machine's clock is off by minutes",
                server.stand_in.port()
            )
        );
    }
    // Who is no member is asked for a password.
    let told = refused(server.login("nobody", iam()), &endpoint()).await;
    assert!(told.ends_with("infra apply makes infra_admin and infra_planner"), "{told}");
    assert!(server.refusals("nobody").is_empty());
}

#[tokio::test]
async fn a_region_is_never_guessed() {
    let (server, _) = Server::bootstrapped().await;
    // The same server, by a name that tells no region: that of the environment is used.
    let endpoint = Endpoint { host: BARE.into(), ..endpoint() };
    let _ = refused(server.login(PLANNER, iam()), &endpoint).await;
    assert_eq!(server.refusals(PLANNER), [Refusal::Region("us-west-2".into())]);
    let right = Access::iam(Arc::new(signer(SECRET_KEY, Duration::ZERO, "eu-central-1")));
    Postgres::<ReadOnly>::new(server.login(PLANNER, right)).ping(&endpoint).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_used_before_is_made_anew_when_refused() {
    let (server, _) = Server::bootstrapped().await;
    let made = Arc::new(AtomicUsize::new(0));
    let tokens = Other { made: made.clone(), ..Other::new(good()) };
    let planner = Postgres::<ReadOnly>::new(server.login(PLANNER, Access::iam(Arc::new(tokens))));
    planner.ping(&endpoint()).await.unwrap();
    planner.ping(&endpoint()).await.unwrap();
    assert_eq!((server.verifier.accepted().len(), made.load(Ordering::Relaxed)), (2, 1));
    let shown = format!("{planner:?}");
    assert!(
        shown.contains("(sensitive value)") && !shown.contains("X-Amz") && !shown.contains(SECRET_KEY),
        "{shown}"
    );
    server.verifier.policy(Box::new(|_, _| false));
    planner.ping(&endpoint()).await.unwrap_err();
    assert_eq!((server.refusals(PLANNER).len(), made.load(Ordering::Relaxed)), (2, 2));
    planner.ping(&endpoint()).await.unwrap_err();
    assert_eq!((server.refusals(PLANNER).len(), made.load(Ordering::Relaxed)), (3, 3));
}

#[tokio::test]
async fn whose_certificate_it_is() {
    let server = Server::new();
    let ca_file = || Some(server.stand_in.ca_file());
    let master = |tls, ca_file: Option<PathBuf>, port| {
        let route = Route::new(tls, ca_file).through(Some("127.0.0.1".into()), Some(port));
        login(MASTER, password(), routes(route))
    };
    let port = server.stand_in.port();
    let told = refused(master(Tls::VerifyFull, None, port), &endpoint()).await;
    assert!(
        told.contains(
            "signed by an authority unknown here: for servers of RDS in a new region, load https://"
        ),
        "{told}"
    );
    // What is not checked is the name, not who signed.
    let told = refused(master(Tls::VerifyCa, None, port), &endpoint()).await;
    assert!(told.contains("signed by an authority unknown here"), "{told}");
    let elsewhere = Endpoint { host: "other.example".into(), ..endpoint() };
    let told = refused(master(Tls::VerifyFull, ca_file(), port), &elsewhere).await;
    assert!(
        told.contains(&format!("the server's certificate is for {HOST}, {BARE}, not for other.example")),
        "{told}"
    );
    Postgres::<ReadOnly>::new(master(Tls::VerifyCa, ca_file(), port)).ping(&elsewhere).await.unwrap();
    Postgres::<ReadOnly>::new(master(Tls::VerifyFull, ca_file(), port)).ping(&endpoint()).await.unwrap();
    let told = refused(master(Tls::Disable, None, port), &endpoint()).await;
    assert!(told.contains("the server takes this login only with TLS"), "{told}");
    let told = refused(master(Tls::VerifyFull, Some("/nowhere/ca.pem".into()), port), &endpoint()).await;
    assert!(told.contains("connection.ca_file /nowhere/ca.pem cannot be read: No such file"), "{told}");
}

#[tokio::test]
async fn what_speaks_no_tls_gets_no_secret() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (answer, why) in
        [(b'N', "the server does not speak TLS"), (b'H', "what answers there is no Postgres")]
    {
        let plain = async {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            client.read_exact(&mut request).await.unwrap();
            client.write_all(&[answer]).await.unwrap();
            let mut more = Vec::new();
            client.read_to_end(&mut more).await.unwrap();
            more
        };
        let route = Route::new(Tls::VerifyFull, None).through(None, Some(port));
        let login = login(MASTER, password(), routes(route));
        let (told, more) = futures::join!(async { refused(login, &endpoint()).await }, plain);
        assert!(told.contains(why), "{told}");
        assert_eq!(more, b"");
    }
}

#[tokio::test]
async fn both_addresses_are_named() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let route = Route::new(Tls::VerifyFull, None).through(None, Some(port));
    let told = refused(login(PLANNER, iam(), routes(route)), &endpoint()).await;
    assert_eq!(
        told,
        format!(
            "cannot connect to database postgres as infra_planner at {HOST}:5432 (through 127.0.0.1:{port}): Connection \
             refused (os error 111)"
        )
    );
}

/// A catalog of some megabytes, and sessions side by side: nothing is lost on the way.
#[tokio::test]
async fn much_goes_through() {
    let (server, admin) = Server::bootstrapped().await;
    server.ask(
        "DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE format('CREATE ROLE %I', 'role_' || i || repeat('x', 40)); \
         END LOOP; END $$",
    );
    let (endpoint, none) = (endpoint(), BTreeSet::new());
    let reads = (0..8).map(|_| admin.read("main", &endpoint, &none));
    for catalog in futures::future::join_all(reads).await {
        assert!(catalog.unwrap().shared.roles.len() > 5000);
    }
}

#[tokio::test]
async fn a_grant_that_shuts_the_admin_out_is_taken_back() {
    let (server, admin) = Server::bootstrapped().await;
    let stand_in = Arc::downgrade(&server.stand_in);
    server.verifier.policy(Box::new(move |_, user| {
        let shut = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole AND member = to_regrole('evil')";
        user != ADMIN || stand_in.upgrade().is_none_or(|stand_in| stand_in.superuser("postgres", shut) == "0")
    }));
    let make = |name: &str, member: bool| {
        let mut statements = vec![format!("CREATE ROLE \"{name}\" LOGIN")];
        statements.extend(member.then(|| format!("GRANT \"rds_iam\" TO \"{name}\"")));
        Task { script: Script::transaction(Place::Maintenance, statements) }
    };
    let endings = admin.run(&endpoint(), &[make("first", true)]).await;
    assert!(matches!(endings[..], [Ending::Done]), "{endings:?}");
    let begun = std::time::Instant::now();
    let other = Task { script: Script::default().then_alone(Place::Maintenance, "SELECT 1".into()) };
    let tasks = [make("plain", false), make("evil", true), make("late", false), other];
    let endings = admin.run(&endpoint(), &tasks).await;
    let [Ending::Done, Ending::Failed(error @ SqlError::LockedOut(_)), Ending::Done, Ending::RolledBack] =
        &endings[..]
    else {
        panic!("{endings:?}");
    };
    let told = told(error);
    assert!(
        told.starts_with(
            "infra_admin could no longer log in after \"evil\" became a member of rds_iam (cannot connect"
        ) && told.ends_with("; this was taken back, and it can log in again"),
        "{told}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    let members = "SELECT string_agg(member::regrole::text, ' ' ORDER BY member::regrole::text) FROM pg_auth_members \
        WHERE roleid = 'rds_iam'::regrole";
    assert_eq!(server.ask(members), "first infra_admin infra_planner");
    admin.ping(&endpoint()).await.unwrap();
}

/// The look after a grant knows grants by how they are written: this is how a plan writes them.
#[test]
fn grants_of_rds_iam_are_written_as_they_are_looked_for() {
    let sandbox = Sandbox::new("15", "services: {orders: {}}\n");
    let plan = sandbox.plan().to_string();
    for login in ["svc_orders_app", "svc_orders_reader", "svc_orders_migrator"] {
        assert!(plan.contains(&format!("\"GRANT \\\"rds_iam\\\" TO \\\"{login}\\\"")), "{plan}");
    }
}
