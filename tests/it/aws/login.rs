//! Logging in by token, on a server that checks it.

use std::{
    collections::BTreeMap,
    error::Error,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::time::StaticTimeSource;
use futures::future::BoxFuture;
use infra::{
    model::{environment::Tls, secret::Secret},
    providers::{
        ReadOnly, ReadWrite,
        aws::token::Signer,
        postgres::{
            ADMIN, Access, Bootstrapped, Ending, Endpoint, Login, PLANNER, Place, Postgres, Route, Routes,
            Script, SqlError, Task, Tokens,
        },
    },
};

use super::stand_in::{ACCESS_KEY, HOST, MASTER_PASSWORD, PORT, SECRET_KEY, StandIn, free_port};

fn endpoint() -> Endpoint {
    Endpoint { cluster: "main".into(), host: HOST.into(), port: PORT }
}

fn routes(route: Route) -> Routes {
    Routes::new(BTreeMap::from([("main".to_owned(), route)]))
}

fn signer(secret: &str, age: Duration) -> Signer {
    let credentials = Credentials::new(ACCESS_KEY, secret, None, None, "a test");
    let config = SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .time_source(StaticTimeSource::new(SystemTime::now() - age))
        .build();
    Signer::new(config, "us-west-2")
}

fn iam() -> Access {
    Access::iam(Arc::new(signer(SECRET_KEY, Duration::ZERO)))
}

fn password() -> Access {
    Access::Password(Secret::new(MASTER_PASSWORD.into()))
}

fn login(user: &str, access: Access, routes: Routes) -> Login {
    Login {
        user: user.into(),
        application: "a test".into(),
        statement_timeout: Duration::from_secs(20),
        read_only: false,
        access,
        routes,
    }
}

impl StandIn {
    /// Straight to it, as by a forwarded port.
    fn routes(&self) -> Routes {
        let route = Route::new(Tls::VerifyFull, Some(self.ca_file()));
        routes(route.through(Some("127.0.0.1".into()), Some(self.port)))
    }

    fn login(&self, user: &str, access: Access) -> Login {
        login(user, access, self.routes())
    }

    async fn bootstrapped(major: &str) -> (Self, Postgres<ReadWrite>) {
        let stand_in = Self::new(major).await;
        let admin = Postgres::<ReadWrite>::new(stand_in.login(ADMIN, iam()));
        let master = stand_in.login("master", password());
        assert_eq!(admin.bootstrap(&endpoint(), async || Ok(master)).await.unwrap(), Bootstrapped::Made);
        (stand_in, admin)
    }

    fn verdicts(&self, user: &str) -> Vec<Result<(), String>> {
        let policy = self.policy.lock().unwrap();
        policy.seen.iter().filter(|(seen, _)| seen == user).map(|(_, verdict)| verdict.clone()).collect()
    }
}

/// All that is told of an error; there is no secret in it.
fn told(error: &(impl Error + 'static)) -> String {
    let told = infra::model::causes(error);
    for text in [format!("{error:?}"), told.clone()] {
        assert!(!text.contains("X-Amz-") && !text.contains("canary"), "{text}");
    }
    told
}

async fn refused(login: Login, endpoint: &Endpoint) -> String {
    told(&Postgres::<ReadOnly>::new(login).ping(endpoint).await.unwrap_err())
}

#[tokio::test]
async fn the_master_makes_the_logins_once() {
    for major in ["15"] {
        let (stand_in, admin) = StandIn::bootstrapped(major).await;
        let planner = Postgres::<ReadOnly>::new(stand_in.login(PLANNER, iam()));
        planner.ping(&endpoint()).await.unwrap();
        let sql = "SELECT string_agg(concat_ws(' ', m.member::regrole, m.roleid::regrole, m.admin_option), ', ' \
             ORDER BY m.member::regrole::text, m.roleid::regrole::text) FROM pg_auth_members m WHERE m.member IN ('infra_admin'::regrole, 'infra_planner'::regrole)";
        assert_eq!(
            stand_in.ask(sql).await.unwrap(),
            "infra_admin rds_iam f, infra_admin rds_superuser t, infra_planner rds_iam f"
        );
        let usage = stand_in.ask("SELECT pg_has_role('master', 'rds_iam', 'USAGE')").await;
        assert_eq!(usage.as_deref(), Some("f"));
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
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_completed() {
    let stand_in = StandIn::new("15").await;
    // Neither may be taken for ready: one has no rights, one does not log in.
    stand_in
        .sql(
            "CREATE ROLE infra_admin LOGIN; GRANT rds_iam TO infra_admin; CREATE ROLE infra_planner; \
              ALTER DATABASE postgres OWNER TO master",
        )
        .await;
    let admin = Postgres::<ReadWrite>::new(stand_in.login(ADMIN, iam()));
    let none = async || Err("there is no such secret".into());
    let error = admin.bootstrap(&endpoint(), none).await.unwrap_err();
    assert_eq!(
        told(&error),
        "cluster main has no infra_admin yet, and how its master logs in is unknown: there is no such secret"
    );
    let wrong = async || Ok(stand_in.login("master", Access::Password(Secret::new("canary wrong".into()))));
    let error = told(&admin.bootstrap(&endpoint(), wrong).await.unwrap_err());
    assert!(
        error.starts_with(
            "cluster main: its master master could not make infra_admin and infra_planner: cannot connect"
        ) && error.contains("the password may have been rotated just now"),
        "{error}"
    );
    let master = async || Ok(stand_in.login("master", password()));
    assert_eq!(admin.bootstrap(&endpoint(), master).await.unwrap(), Bootstrapped::Made);
    let sql = "SELECT datacl::text FROM pg_database WHERE datname = 'postgres'";
    let acl = stand_in.ask(sql).await.unwrap();
    assert_eq!(acl, "{master=CTc/master,infra_admin=c/master,infra_planner=c/master}");
    // Its password is still good: it has become no member of rds_iam by what it made.
    Postgres::<ReadOnly>::new(stand_in.login("master", password())).ping(&endpoint()).await.unwrap();
}

/// Signs for somebody, or somewhere, else.
#[derive(Debug)]
struct Other {
    signer: Signer,
    user: Option<&'static str>,
    host: Option<&'static str>,
}

impl Tokens for Other {
    fn token<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Secret<String>, Box<dyn Error + Send + Sync>>> {
        let host = self.host.unwrap_or(&endpoint.host).to_owned();
        Box::pin(async move {
            let endpoint = Endpoint { host, ..endpoint.clone() };
            self.signer.token(&endpoint, self.user.unwrap_or(user)).await
        })
    }
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_and_explained() {
    let (stand_in, _) = StandIn::bootstrapped("15").await;
    let old = Duration::from_mins(16);
    let good = || signer(SECRET_KEY, Duration::ZERO);
    let other_region = "main.cluster-c1abcdefghij.eu-west-1.rds.amazonaws.com";
    let cases = [
        (Other { signer: good(), user: Some(ADMIN), host: None }, "a token for infra_admin"),
        (Other { signer: signer(SECRET_KEY, old), user: None, host: None }, "made at "),
        (
            Other { signer: good(), user: None, host: Some(other_region) },
            "a token for main.cluster-c1abcdefghij.eu-west-1",
        ),
        (
            Other { signer: signer("another", Duration::ZERO), user: None, host: None },
            "signed by somebody else",
        ),
    ];
    for (tokens, verdict) in cases {
        let before = stand_in.verdicts(PLANNER).len();
        let told = refused(stand_in.login(PLANNER, Access::iam(Arc::new(tokens))), &endpoint()).await;
        let verdicts = &stand_in.verdicts(PLANNER)[before..];
        assert!(matches!(verdicts, [Err(why)] if why.starts_with(verdict)), "{verdict}: {verdicts:?}");
        assert_eq!(
            told,
            format!(
                "cannot connect to database postgres as infra_planner at {HOST}:5432 (through 127.0.0.1:{}): LDAP \
                 authentication failed for user \"infra_planner\" (SQLSTATE 28000): the AWS identity that signs may not \
                 rds-db:connect as infra_planner to this cluster's resource id, its credentials have expired or been \
                 revoked, or this machine's clock is off by minutes",
                stand_in.port
            )
        );
    }
    // Who is no member is asked for a password.
    let told = refused(stand_in.login("nobody", iam()), &endpoint()).await;
    assert!(told.ends_with("infra apply makes infra_admin and infra_planner"), "{told}");
    assert!(stand_in.verdicts("nobody").is_empty());
}

#[tokio::test]
async fn a_region_is_never_guessed() {
    let (stand_in, _) = StandIn::bootstrapped("15").await;
    // The same server, known by a name that tells no region: the environment's is used, which is another.
    let endpoint = Endpoint { host: "localhost".into(), ..endpoint() };
    let route = Route::new(Tls::VerifyCa, Some(stand_in.ca_file()));
    let routes = routes(route.through(Some("127.0.0.1".into()), Some(stand_in.port)));
    let host = Some("localhost");
    let tokens = Other { signer: signer(SECRET_KEY, Duration::ZERO), user: None, host };
    let _ = refused(login(PLANNER, Access::iam(Arc::new(tokens)), routes), &endpoint).await;
    let policy = stand_in.policy.lock().unwrap();
    let token = policy.tokens.last().unwrap();
    assert!(token.contains("%2Fus-west-2%2Frds-db%2F"), "{token}");
}

#[tokio::test]
async fn a_token_that_was_used_before_is_made_anew_when_refused() {
    let (stand_in, _) = StandIn::bootstrapped("15").await;
    let planner = Postgres::<ReadOnly>::new(stand_in.login(PLANNER, iam()));
    planner.ping(&endpoint()).await.unwrap();
    planner.ping(&endpoint()).await.unwrap();
    let tokens = || stand_in.policy.lock().unwrap().tokens.clone();
    let [.., one, other] = &tokens()[..] else { panic!("two logins") };
    assert_eq!(one, other);
    let shown = format!("{planner:?}");
    assert!(
        shown.contains("(sensitive value)") && !shown.contains("X-Amz") && !shown.contains(SECRET_KEY),
        "{shown}"
    );
    stand_in.policy.lock().unwrap().refused.insert(PLANNER.into());
    let before = stand_in.verdicts(PLANNER).len();
    planner.ping(&endpoint()).await.unwrap_err();
    assert_eq!(stand_in.verdicts(PLANNER).len() - before, 2);
    planner.ping(&endpoint()).await.unwrap_err();
    assert_eq!(stand_in.verdicts(PLANNER).len() - before, 3);
}

#[tokio::test]
async fn whose_certificate_it_is() {
    let stand_in = StandIn::new("15").await;
    let master = |tls, ca_file: Option<PathBuf>| {
        let route = Route::new(tls, ca_file).through(Some("127.0.0.1".into()), Some(stand_in.port));
        login("master", password(), routes(route))
    };
    let told = refused(master(Tls::VerifyFull, None), &endpoint()).await;
    assert!(
        told.contains(
            "signed by an authority unknown here: for servers of RDS in a new region, load https://"
        ),
        "{told}"
    );
    // What is not checked is the name, not who signed.
    let told = refused(master(Tls::VerifyCa, None), &endpoint()).await;
    assert!(told.contains("signed by an authority unknown here"), "{told}");
    let elsewhere = Endpoint { host: "other.example".into(), ..endpoint() };
    let told = refused(master(Tls::VerifyFull, Some(stand_in.ca_file())), &elsewhere).await;
    assert!(
        told.contains(&format!("the server's certificate is for {HOST}, not for other.example")),
        "{told}"
    );
    let by_authority = master(Tls::VerifyCa, Some(stand_in.ca_file()));
    Postgres::<ReadOnly>::new(by_authority).ping(&elsewhere).await.unwrap();
    Postgres::<ReadOnly>::new(master(Tls::VerifyFull, Some(stand_in.ca_file())))
        .ping(&endpoint())
        .await
        .unwrap();
    let told = refused(master(Tls::Disable, None), &endpoint()).await;
    assert!(told.contains("the server takes this login only with TLS"), "{told}");
    stand_in.sql("ALTER SYSTEM SET ssl = off").await;
    stand_in.sql("SELECT pg_reload_conf()").await;
    let mut told = String::new();
    for _ in 0..50 {
        told = refused(master(Tls::VerifyFull, Some("/nowhere/ca.pem".into())), &endpoint()).await;
        assert!(told.contains("connection.ca_file /nowhere/ca.pem cannot be read: No such file"), "{told}");
        if Postgres::<ReadOnly>::new(master(Tls::VerifyFull, Some(stand_in.ca_file())))
            .ping(&endpoint())
            .await
            .is_err()
        {
            told = refused(master(Tls::VerifyFull, Some(stand_in.ca_file())), &endpoint()).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told.contains("the server does not speak TLS"), "{told}");
}

#[tokio::test]
async fn both_addresses_are_named() {
    let port = free_port();
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
    let (stand_in, admin) = StandIn::bootstrapped("15").await;
    stand_in
        .sql("DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE format('CREATE ROLE %I', 'role_' || i || repeat('x', 40)); \
              END LOOP; END $$")
        .await;
    let (endpoint, none) = (endpoint(), std::collections::BTreeSet::new());
    let reads = (0..8).map(|_| admin.read("main", &endpoint, &none));
    for catalog in futures::future::join_all(reads).await {
        assert!(catalog.unwrap().shared.roles.len() > 5000);
    }
}

#[tokio::test]
async fn a_grant_that_shuts_the_admin_out_is_taken_back() {
    let (stand_in, admin) = StandIn::bootstrapped("15").await;
    stand_in.policy.lock().unwrap().shut_by = Some("evil".into());
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
    assert_eq!(stand_in.ask(members).await.unwrap(), "first infra_admin infra_planner");
    admin.ping(&endpoint()).await.unwrap();
}

/// A tunnel through a forwarder that notes its number and its arguments.
struct Tunnelled {
    notes: PathBuf,
    _folder: tempfile::TempDir,
    login: Login,
}

impl Tunnelled {
    fn new(stand_in: &StandIn) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/aws/forward.py");
        // A child of its own, as a shell or a wrapper leaves one behind.
        let shell = "echo starting >&2; python3 \"$@\" & wait";
        let (port, path) = (stand_in.port.to_string(), notes.display().to_string());
        let command = ["sh", "-c", shell, "sh", script, "{local_port}", &port, &path, "{host}:{port}"]
            .map(str::to_owned);
        let route = Route::new(Tls::VerifyFull, Some(stand_in.ca_file())).tunnel(command.to_vec());
        Self { notes, _folder: folder, login: login(PLANNER, iam(), routes(route)) }
    }

    /// Numbers of the forwarders that were started, and what the command was given.
    fn started(&self) -> Vec<(i32, String)> {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        let line =
            |line: &str| line.split_once(' ').map(|(pid, rest)| (pid.parse().unwrap(), rest.to_owned()));
        notes.lines().filter_map(line).collect()
    }
}

/// Whether a process is there and no mere entry that waits to be collected.
fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// The members of a process's group, its leader first.
fn group(pid: i32) -> Vec<i32> {
    let of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(2)?.parse::<i32>().ok()
    };
    let wanted = of(pid);
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let mut members: Vec<i32> = all.filter(|other| of(*other) == wanted).collect();
    members.sort_by_key(|pid| Some(*pid) != wanted);
    members
}

async fn ended(pids: &[i32]) {
    for _ in 0..60 {
        if !pids.iter().any(|pid| runs(*pid)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still there: {:?}", pids.iter().filter(|pid| runs(**pid)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tunnel_is_shared_and_ends_with_all_it_started() {
    let (stand_in, _) = StandIn::bootstrapped("15").await;
    let tunnelled = Tunnelled::new(&stand_in);
    let planner = Postgres::<ReadOnly>::new(tunnelled.login.clone());
    let other = Postgres::<ReadOnly>::new(tunnelled.login.clone());
    assert!(tunnelled.started().is_empty());
    let (endpoint, none) = (endpoint(), std::collections::BTreeSet::new());
    // The token is for the cluster, and the certificate has its name, wherever the socket leads.
    let reads = futures::future::join_all((0..6).map(|_| planner.read("main", &endpoint, &none))).await;
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    other.ping(&endpoint).await.unwrap();
    let started = tunnelled.started();
    let [(pid, given)] = &started[..] else { panic!("{started:?}") };
    assert_eq!(*given, format!("{HOST}:{PORT}"));
    let members = group(*pid);
    assert!(
        members.len() >= 3 && !members.contains(&i32::try_from(std::process::id()).unwrap()),
        "{members:?}"
    );
    planner.close().await;
    assert!(!members.iter().any(|pid| runs(*pid)), "{members:?}");
    // One that has ended is started again, be it closed or killed.
    other.ping(&endpoint).await.unwrap();
    let again = group(tunnelled.started()[1].0);
    let killed = again.iter().filter(|pid| **pid != again[0]);
    killed.for_each(|pid| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::SIGKILL).unwrap();
    });
    ended(&again[1..]).await;
    other.ping(&endpoint).await.unwrap();
    assert_eq!(tunnelled.started().len(), 3);
    // Without a goodbye, too.
    let members = group(tunnelled.started()[2].0);
    assert!(members.len() >= 3);
    let Tunnelled { login, _folder, .. } = tunnelled;
    drop((planner, other, login));
    ended(&members).await;
    ended(&again).await;
}

#[tokio::test]
async fn a_tunnel_that_does_not_open_says_why() {
    let tell = async |command: &[&str]| {
        let route =
            Route::new(Tls::VerifyFull, None).tunnel(command.iter().map(ToString::to_string).collect());
        refused(login(PLANNER, iam(), routes(route)), &endpoint()).await
    };
    let prefix = format!("cannot connect to database postgres as infra_planner at {HOST}:5432: ");
    let early = ["sh", "-c", "echo one; echo \"no route to $0\" >&2; exit 3", "{host}", "{local_port}"];
    assert_eq!(
        tell(&early).await,
        format!(
            "{prefix}connection.tunnel (sh): it ended before it took a connection (exit status: 3): the tunnel said: one; \
             no route to {HOST}"
        )
    );
    assert_eq!(
        tell(&["no-such-program-here", "{local_port}"]).await,
        format!("{prefix}connection.tunnel (no-such-program-here): No such file or directory (os error 2)")
    );
    // What takes connections and cannot pass them on tells so only on its own output.
    let deaf = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
                while True: c = s.accept()[0]; print('open failed: no such host', flush=True); c.close()";
    let told = tell(&["python3", "-c", deaf, "{local_port}"]).await;
    assert!(told.ends_with(": the tunnel said: open failed: no such host"), "{told}");
    let begun = std::time::Instant::now();
    let told = tell(&["sh", "-c", "echo waiting; sleep 600", "{local_port}"]).await;
    assert!(
        told.contains(" within 15 s: the tunnel said: waiting") && begun.elapsed() < Duration::from_secs(18),
        "{told}"
    );
}
