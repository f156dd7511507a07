//! `infra connect` and `infra output` on AWS: a person's own role, a real tunnel, and a server that checks tokens.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{
    account::{Account, HEAD},
    served::Served,
};
use crate::support::emulator::{python, reader_endpoint, writer_endpoint};

const PEOPLE: &str = "
sso_role: arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef
services:
  orders: {service_account: checkout/orders}
  billing: {service_account: finance/billing}
people:
  esi: {principal: \"arn:aws:iam::111122223333:role/engineering/esi\"}
  boris: {sso: boris@acme.example}
developer_groups:
  backend: {members: [esi], services: [orders]}
  finance: {members: [boris], services: [billing], access: read-write}
";

/// An account with a cluster that is reached through a tunnel only.
struct Shop {
    account: Account,
    served: Served,
}

impl Shop {
    fn start() -> Self {
        let mut account = Account::with_principals();
        let served = Served::start(&account, "prod-main");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/aws/forward.py");
        let tunnel = [
            python().display().to_string(),
            script.into(),
            "{local_port}".into(),
            served.server.port().to_string(),
            account.folder().join("notes").display().to_string(),
            "{host}:{port}".into(),
        ];
        account.write(&format!(
            "clusters: {{main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b], connection: \
             {{tunnel: {}, ca_file: {}}}}}}}\n{PEOPLE}",
            served.version(),
            json!(tunnel),
            json!(served.server.ca_file()),
        ));
        account.variables.push(("PATH", "/usr/bin:/bin".into()));
        Self { account, served }
    }

    /// The credentials of somebody who has assumed a role.
    fn credentials(&self, role: &str, session: &str) -> Vec<(&'static str, String)> {
        let script =
            "answer = of('sts').assume_role(RoleArn=asked[0], RoleSessionName=asked[1])['Credentials']";
        let given =
            self.account.script(script, &json!([format!("arn:aws:iam::111122223333:role/{role}"), session]));
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        vec![
            ("AWS_ACCESS_KEY_ID", text("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", text("SessionToken")),
        ]
    }

    fn command(&self, as_whom: &[(&'static str, String)], arguments: &[&str]) -> Command {
        let mut command = self.account.command(arguments);
        command.envs(as_whom.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// The exit code is this; what was said.
    #[track_caller]
    fn run(&self, as_whom: &[(&'static str, String)], arguments: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(as_whom, arguments).output().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    /// How many connections the server ever took, and tunnels were started.
    fn contacts(&self) -> (usize, usize) {
        let connections = self.served.server.log().matches("connection received: host=127.0.0.1").count();
        let notes = fs::read_to_string(self.account.folder().join("notes")).unwrap_or_default();
        (connections, notes.lines().count())
    }

    /// The forwarder that was started last.
    fn forwarder(&self) -> i32 {
        let notes = fs::read_to_string(self.account.folder().join("notes")).unwrap();
        notes.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap()
    }
}

fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

#[track_caller]
fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_developer_connects_as_herself() {
    let shop = Shop::start();
    let esi = shop.credentials("engineering/esi", "laptop");
    let sso = "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef";
    let boris = shop.credentials(sso, "boris@acme.example");
    // Before there is anything, where it would be is not known.
    let (_, told) = shop.run(&[], &["output"], 1);
    assert!(told.contains("cluster main does not run, so that where it is is not known"), "{told}");
    let (_, told) = shop.run(&esi, &["connect", "orders", "--", "true"], 1);
    assert!(told.contains("infra apply -e prod makes and starts it"), "{told}");
    shop.account.apply();
    shop.served.obey(&shop.account);
    let sql = "ALTER SYSTEM SET log_connections = on; SELECT pg_reload_conf()";
    shop.served.server.superuser("postgres", &sql.replace("; ", ";\n"));
    let table = "CREATE TABLE item (id int); INSERT INTO item VALUES (7)";
    shop.served
        .work_by(&shop.account, "infra-prod-svc-orders", "svc_orders_migrator", "orders", table)
        .unwrap();
    shop.served.verifier.reset();

    refused_before_any_connection(&shop, &esi);
    the_command_has_what_it_needs(&shop, &esi);
    by_single_sign_on(&shop, &boris);
    the_reader_and_its_end(&shop, &esi);
    urls(&shop, &esi);
    signals_and_codes(&shop, &esi);
    outputs(&shop);
}

/// The server and the tunnel are not so much as touched.
fn refused_before_any_connection(shop: &Shop, esi: &[(&'static str, String)]) {
    let before = shop.contacts();
    let (out, told) = shop.run(esi, &["connect", "billing", "--", "psql"], 1);
    assert_eq!(out, "");
    assert!(
        told.contains("esi is in no group with access to `billing`")
            && told.contains("`finance` (read-write) has it: add esi to developer_groups.finance.members"),
        "{told}"
    );
    let (_, told) = shop.run(esi, &["connect", "bilingo"], 1);
    assert!(told.contains("there is no service `bilingo`"), "{told}");
    let (_, told) = shop.run(&[], &["connect", "orders"], 1);
    assert!(
        told.contains("arn:aws:iam::111122223333:user/operator is nobody of `people:` in prod"),
        "{told}"
    );
    let (_, told) = shop.run(esi, &["connect", "orders", "--as", "borris"], 1);
    assert!(told.contains("there is no person `borris`") && told.contains("did you mean `boris`?"), "{told}");
    assert_eq!(shop.contacts(), before);
    assert_eq!((shop.served.verifier.accepted(), shop.served.verifier.refused()), (vec![], vec![]));
    // The count would tell: a connection is seen.
    let (out, _) = shop.run(esi, &["connect", "orders", "--", "psql", "-XAtc", "SELECT id FROM item"], 0);
    assert_eq!(out, "7\n");
    let after = shop.contacts();
    assert_eq!(after.1, before.1 + 1);
    assert!(after.0 > before.0, "{before:?} {after:?}");
}

const LOOK: &str = r#"
env | grep '^PG' | sort > variables
printf '%s' "$PGPASSWORD" > token
cat /proc/[0-9]*/cmdline 2>/dev/null > lines
cat "/proc/$PPID/environ" > parent
psql -XAtc "SELECT current_user || ' in ' || current_database() || ', ssl ' || ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
psql -XAtc "INSERT INTO item VALUES (8)" 2>&1
true
"#;

fn the_command_has_what_it_needs(shop: &Shop, esi: &[(&'static str, String)]) {
    shop.served.verifier.reset();
    // What somebody has set for himself does not lead elsewhere.
    let mut as_whom = esi.to_vec();
    as_whom.extend([
        ("PGHOSTADDR", "192.0.2.1".to_owned()),
        ("PGSERVICE", "theirs".into()),
        ("PGPASSWORD", "old".into()),
    ]);
    let (out, told) = shop.run(&as_whom, &["connect", "orders", "--", "sh", "-c", LOOK], 0);
    assert_eq!(out, "dev_esi in orders, ssl true\nERROR:  permission denied for table item\n", "{told}");
    let read = |name: &str| {
        String::from_utf8_lossy(&fs::read(shop.account.folder().join(name)).unwrap()).into_owned()
    };
    let token = read("token");
    let host = writer_endpoint("111122223333", "eu-central-1", "prod-main");
    assert!(token.starts_with(&format!("{host}:5432/?")) && token.contains("X-Amz-Signature="), "{token}");
    let variables = read("variables");
    let port = variables.lines().find_map(|line| line.strip_prefix("PGPORT=")).unwrap();
    assert_eq!(
        variables.replace(&token, "TOKEN").replace(port, "PORT"),
        format!(
            "PGAPPNAME=infra connect -e prod by {}\nPGCONNECT_TIMEOUT=15\nPGDATABASE=orders\nPGHOST={host}\n\
             PGHOSTADDR=127.0.0.1\nPGPASSWORD=TOKEN\nPGPORT=PORT\nPGSSLMODE=verify-full\nPGSSLROOTCERT={}\nPGUSER=dev_esi\n",
            variables.lines().next().unwrap().rsplit(' ').next().unwrap(),
            shop.served.server.ca_file().display()
        )
    );
    let signature = token.rsplit("X-Amz-Signature=").next().unwrap();
    for (place, text) in
        [("command lines", read("lines")), ("our own environment", read("parent")), ("what is said", told)]
    {
        assert!(text.len() < 10 || !text.contains(signature), "the token is in {place}");
    }
    assert!(read("lines").contains("connect\0orders"));
    // It is of the role that is hers, which she became for it.
    let accepted = shop.served.verifier.accepted();
    let session = shop.account.emulator.session(&accepted[0].access_key).unwrap();
    assert_eq!(session.arn, "arn:aws:sts::111122223333:assumed-role/infra-prod-dev-esi/infra-connect");
    assert_eq!(accepted[0].endpoint, format!("{host}:5432"));
    assert_eq!(shop.served.verifier.refused(), []);
    within(Duration::from_secs(5), "the tunnel is still there", || !runs(shop.forwarder()));
}

fn by_single_sign_on(shop: &Shop, boris: &[(&'static str, String)]) {
    let sql = "CREATE TEMPORARY TABLE mine (id int); SELECT current_user";
    let (out, _) = shop.run(boris, &["connect", "billing", "--", "psql", "-XAtq", "-c", sql], 0);
    assert_eq!(out, "dev_boris\n");
    // Who has become his own role already does not become it again.
    let own = shop.credentials("infra/prod/infra-prod-dev-boris", "any");
    shop.account.emulator.reset_calls();
    let (out, _) = shop.run(&own, &["connect", "billing", "--", "psql", "-XAtc", "SELECT 1"], 0);
    assert_eq!((out.as_str(), shop.account.emulator.count("AssumeRole")), ("1\n", 0));
}

fn the_reader_and_its_end(shop: &Shop, esi: &[(&'static str, String)]) {
    shop.served.verifier.reset();
    let (out, _) = shop.run(
        esi,
        &["connect", "orders", "--reader", "--", "sh", "-c", "echo $PGHOST; psql -XAtc 'SELECT 1'"],
        0,
    );
    let host = reader_endpoint("111122223333", "eu-central-1", "prod-main");
    assert_eq!(out, format!("{host}\n1\n"));
    assert_eq!(shop.served.verifier.accepted()[0].endpoint, format!("{host}:5432"));
}

fn urls(shop: &Shop, esi: &[(&'static str, String)]) {
    let (_, told) = shop.run(esi, &["connect", "orders", "--print"], 1);
    assert!(told.contains("a URL would lead nowhere"), "{told}");
    // Another environment: straight to the cluster, checked against what is bundled.
    let straight = "clusters: {main: {engine_version: \"16\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b]}}\n";
    shop.account.write_as("straight", &format!("{HEAD}{straight}{PEOPLE}"));
    shop.account.emulator.reset_calls();
    let print = ["connect", "-e", "straight", "orders", "--endpoint", "db.example:5433", "--print"];
    let (out, _) = shop.run(esi, &print, 0);
    let authorities = shop.account.folder().join(".infra/rds-authorities.pem").canonicalize().unwrap();
    let path = authorities.display().to_string().replace('/', "%2F");
    let rest = format!("@db.example:5433/orders?sslmode=verify-full&sslrootcert={path}\n");
    assert_eq!(out, format!("postgresql://dev_esi{rest}"));
    assert!(fs::read_to_string(&authorities).unwrap().matches("BEGIN CERTIFICATE").count() > 50);
    // For a URL without a token nobody need become anybody.
    assert_eq!(shop.account.emulator.count("AssumeRole"), 0);
    let (out, _) = shop.run(esi, &[&print[..], &["--with-token"]].concat(), 0);
    assert!(out.starts_with("postgresql://dev_esi:db.example%3A5433%2F%3F") && out.ends_with(&rest), "{out}");
}

fn signals_and_codes(shop: &Shop, esi: &[(&'static str, String)]) {
    shop.run(esi, &["connect", "orders", "--", "sh", "-c", "exit 42"], 42);
    shop.run(esi, &["connect", "orders", "--", "sh", "-c", "kill -9 $$"], 137);
    let (_, told) = shop.run(esi, &["connect", "orders", "--", "no-such-program"], 1);
    assert!(told.contains("no-such-program could not be started"), "{told}");
    // Ctrl-C comes to both; it is the command's to obey, and the tunnel stays meanwhile. A signal to us alone is passed on.
    let script = "trap 'echo interrupted' INT; trap 'psql -XAtc \"SELECT 5\"; exit 9' TERM; echo ready > ready; \
        while :; do sleep 0.1; done";
    let mut command = shop.command(esi, &["connect", "orders", "--", "sh", "-c", script]);
    let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let ready = shop.account.folder().join("ready");
    within(Duration::from_secs(20), "it is not ready", || Path::new(&ready).exists());
    killpg(pid, Signal::SIGINT).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none() && runs(shop.forwarder()));
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap().as_str()),
        (Some(9), "interrupted\n5\n")
    );
    within(Duration::from_secs(5), "the tunnel is still there", || !runs(shop.forwarder()));
}

/// What real parsers make of each format.
fn outputs(shop: &Shop) {
    let (text, _) = shop.run(&[], &["output", "--json"], 0);
    let all: Value = serde_json::from_str(&text).unwrap();
    let orders = &all["orders"]["value"];
    let writer = writer_endpoint("111122223333", "eu-central-1", "prod-main");
    let reader = reader_endpoint("111122223333", "eu-central-1", "prod-main");
    assert_eq!(
        *orders,
        json!({
            "iam_role_arn": "arn:aws:iam::111122223333:role/infra/prod/infra-prod-svc-orders",
            "postgres": {
                "cluster": "main", "database": "orders",
                "reader": {"host": reader, "port": 5432},
                "ssl_root_cert_url": "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
                "sslmode": "verify-full",
                "users": {"app": "svc_orders_app", "migrator": "svc_orders_migrator", "reader": "svc_orders_reader"},
                "writer": {"host": writer, "port": 5432},
            },
            "region": "eu-central-1",
            "service_account": {"name": "orders", "namespace": "checkout"},
        })
    );
    let roles = shop
        .account
        .script("answer = of('iam').get_role(RoleName='infra-prod-svc-orders')['Role']['Arn']", &Value::Null);
    assert_eq!(roles, orders["iam_role_arn"]);
    assert_eq!((&all["orders"]["sensitive"], &all["orders"]["type"][0]), (&json!(false), &json!("object")));
    let (one, _) = shop.run(&[], &["output", "orders", "-json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), *orders);
    let (maps, _) = shop.run(&[], &["output", "--format", "configmap"], 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maps.yaml");
    fs::write(&file, &maps).unwrap();
    let mut validate = Command::new(python().parent().unwrap().join("kubernetes-validate"));
    let judged = validate.args(["--strict"]).arg(&file).output().unwrap();
    assert!(judged.status.success(), "{}\n{maps}", String::from_utf8_lossy(&judged.stdout));
    assert!(
        maps.contains("namespace: \"checkout\"") && maps.matches("kind: ConfigMap").count() == 2,
        "{maps}"
    );
    let (env, _) = shop.run(&[], &["output", "orders", "--format", "env"], 0);
    let script = format!("{env}printf '%s %s' \"$POSTGRES_WRITER_HOST\" \"$IAM_ROLE_ARN\"");
    let shell = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8(shell.stdout).unwrap(),
        format!("{writer} {}", orders["iam_role_arn"].as_str().unwrap())
    );
    let (_, told) = shop.run(&[], &["output", "ordesr"], 1);
    assert!(
        told.contains("there is no service `ordesr`") && told.contains("did you mean `orders`?"),
        "{told}"
    );
}
