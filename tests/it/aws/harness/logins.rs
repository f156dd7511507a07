//! Logins by token, to a real Postgres: what RDS would accept is accepted, and each thing that is wrong with a token is
//! told apart.

use crate::support::{
    emulator::{
        ACCESS_KEY, ACCOUNT, Emulator, MASTER_PASSWORD, REGION, SECRET_KEY, boto3, reader_endpoint,
        writer_endpoint,
    },
    stand_in::{MASTER, Options, StandIn},
    verifier::{Key, Refusal, Verifier},
};

struct Cluster {
    verifier: Verifier,
    server: StandIn,
    host: String,
}

impl Cluster {
    /// With a login `app`, which is in `rds_iam`, and one with a password, `old`.
    fn start() -> Self {
        let verifier = Verifier::start(REGION);
        let hosts = [writer_endpoint(ACCOUNT, REGION, "main"), reader_endpoint(ACCOUNT, REGION, "main")];
        for host in &hosts {
            verifier.allow_endpoint(host, 5432);
        }
        verifier.know(ACCESS_KEY, SECRET_KEY, None);
        let options = Options {
            hosts: &hosts,
            master_password: MASTER_PASSWORD,
            ldap_port: verifier.port(),
            parameters: &[],
        };
        let server = StandIn::start(&options);
        server.superuser(
            "postgres",
            "CREATE ROLE app LOGIN IN ROLE rds_iam; CREATE ROLE \"a+b @c\" LOGIN IN ROLE rds_iam;
             CREATE ROLE old LOGIN PASSWORD 'plain-password'",
        );
        let [host, _] = hosts;
        Self { verifier, server, host }
    }

    fn login(&self, user: &str, token: &str) -> Result<String, String> {
        self.server.login(
            &self.host,
            user,
            token,
            "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
    }

    /// The server refuses the login, and the verifier had just this against it.
    #[track_caller]
    fn refuses(&self, user: &str, token: &str, reason: &Refusal) {
        self.verifier.reset();
        let said = self.login(user, token).unwrap_err();
        assert!(said.contains("LDAP authentication failed"), "{said}");
        let refused = self.verifier.refused();
        assert_eq!(refused.iter().map(|one| &one.reason).collect::<Vec<_>>(), [reason]);
        assert_eq!(self.verifier.accepted(), []);
    }
}

/// Makes a token with boto3; `more` are arguments of the client, `age` makes it older by so many seconds.
fn token(host: &str, user: &str, region: &str, more: &str, age: i64) -> String {
    let script = format!(
        "import datetime
from unittest import mock
import botocore.auth
real = botocore.auth.get_current_datetime
old = lambda: real() - datetime.timedelta(seconds={age})
with mock.patch('botocore.auth.get_current_datetime', old):
    print(client('rds', {more}).generate_db_auth_token('{host}', 5432, '{user}', '{region}'))"
    );
    boto3("http://127.0.0.1:9", &script).trim().to_owned()
}

/// A token that is right in everything, but good for more than 15 minutes.
fn long_lived(host: &str) -> String {
    let script = format!(
        "from unittest import mock
from botocore.signers import RequestSigner
sign = RequestSigner.generate_presigned_url
longer = lambda self, **arguments: sign(self, **(arguments | {{'expires_in': 901}}))
with mock.patch.object(RequestSigner, 'generate_presigned_url', longer):
    print(client('rds').generate_db_auth_token('{host}', 5432, 'app'))"
    );
    boto3("http://127.0.0.1:9", &script).trim().to_owned()
}

#[test]
fn good_tokens_are_let_in() {
    let cluster = Cluster::start();
    let host = cluster.host.clone();
    assert_eq!(cluster.login("app", &token(&host, "app", REGION, "", 0)).unwrap(), "app|t");
    assert_eq!(cluster.verifier.accepted()[0].endpoint, format!("{host}:5432"));
    // Near its end it is still good; what has to be encoded is.
    assert_eq!(cluster.login("app", &token(&host, "app", REGION, "", 880)).unwrap(), "app|t");
    let odd = token(&host, "a+b @c", REGION, "", 0);
    assert_eq!(cluster.login("'a+b @c'", &odd).unwrap(), "a+b @c|t");
    // The same token under the other name of the server: it is for the endpoint it was made for.
    let reader = reader_endpoint(ACCOUNT, REGION, "main");
    let read = token(&reader, "app", REGION, "", 0);
    assert_eq!(cluster.server.login(&reader, "app", &read, "SELECT 1").unwrap(), "1");
    // Who is not in rds_iam has a password, and the master is one of them.
    assert_eq!(cluster.login("old", "plain-password").unwrap(), "old|t");
    assert_eq!(cluster.login(MASTER, MASTER_PASSWORD).unwrap(), format!("{MASTER}|t"));
    assert_eq!((cluster.verifier.accepted().len(), cluster.verifier.refused().len()), (4, 0));
}

#[test]
fn each_fault_of_a_token_is_refused_for_its_own_reason() {
    let cluster = Cluster::start();
    let host = cluster.host.as_str();
    let good = token(host, "app", REGION, "", 0);
    cluster.refuses("app", "plain-password", &Refusal::NoToken);
    let another = token(host, "other", REGION, "", 0);
    cluster.refuses("app", &another, &Refusal::User("other".into()));
    cluster.refuses("app", &token(host, "app", REGION, "", 910), &Refusal::Expired);
    cluster.refuses("app", &token(host, "app", REGION, "", -600), &Refusal::NotYetValid);
    let elsewhere = writer_endpoint(ACCOUNT, REGION, "other");
    let wrong = token(&elsewhere, "app", REGION, "", 0);
    cluster.refuses("app", &wrong, &Refusal::Host(format!("{elsewhere}:5432")));
    let wrong = token(host, "app", "us-east-1", "", 0);
    cluster.refuses("app", &wrong, &Refusal::Region("us-east-1".into()));
    cluster.refuses("app", &another.replace("DBUser=other", "DBUser=app"), &Refusal::Signature);
    let (start, signature) = good.split_at(good.len() - 1);
    let flipped = if signature == "0" { "1" } else { "0" };
    cluster.refuses("app", &format!("{start}{flipped}"), &Refusal::Signature);
    let shorter = good.replace("X-Amz-Expires=900", "X-Amz-Expires=800");
    cluster.refuses("app", &shorter, &Refusal::Signature);
    cluster.refuses("app", &long_lived(host), &Refusal::TooLong);
    let unknown =
        token(host, "app", REGION, "aws_access_key_id='AKIASOMEBODYELSE0001', aws_secret_access_key='x'", 0);
    cluster.refuses("app", &unknown, &Refusal::UnknownKey);
    let guessed = token(
        host,
        "app",
        REGION,
        &format!("aws_access_key_id='{ACCESS_KEY}', aws_secret_access_key='x'"),
        0,
    );
    cluster.refuses("app", &guessed, &Refusal::Signature);
    let temporary = format!(
        "aws_access_key_id='{ACCESS_KEY}', aws_secret_access_key='{SECRET_KEY}', aws_session_token='t'"
    );
    cluster.refuses("app", &token(host, "app", REGION, &temporary, 0), &Refusal::SessionToken);
    cluster.verifier.policy(Box::new(|_, user| user != "app"));
    cluster.refuses("app", &good, &Refusal::Policy);
    // None of these was the fault of something else.
    cluster.verifier.policy(Box::new(|_, user| user == "app"));
    assert_eq!(cluster.login("app", &good).unwrap(), "app|t");
}

/// Session tokens are long, and so is what carries them.
#[test]
fn a_token_of_an_assumed_role_is_let_in() {
    let cluster = Cluster::start();
    let emulator = Emulator::start();
    let script = format!(
        "given = client('sts').assume_role(RoleArn='arn:aws:iam::{ACCOUNT}:role/x', RoleSessionName='test')['Credentials']
there = client('rds', aws_access_key_id=given['AccessKeyId'], aws_secret_access_key=given['SecretAccessKey'],
    aws_session_token=given['SessionToken'])
print(there.generate_db_auth_token('{}', 5432, 'app'))",
        cluster.host
    );
    let token = emulator.boto3(&script).trim().to_owned();
    cluster.refuses("app", &token, &Refusal::UnknownKey);
    cluster.verifier.look_up(Box::new(move |access_key| {
        let session = emulator.session(access_key)?;
        Some(Key { secret: session.secret, session_token: Some(session.token) })
    }));
    assert_eq!(cluster.login("app", &token).unwrap(), "app|t");
}

#[test]
fn the_stand_in_is_reached_over_tls_under_its_names_only() {
    let cluster = Cluster::start();
    let sql = "SELECT 1";
    let said = cluster.server.login("main.example", "old", "plain-password", sql).unwrap_err();
    assert!(said.contains("main.example"), "{said}");
    let other = StandIn::start(&Options {
        hosts: std::slice::from_ref(&cluster.host),
        master_password: "Another-1",
        ldap_port: cluster.verifier.port(),
        parameters: &[("max_connections", "17")],
    });
    assert_eq!(other.login(&cluster.host, MASTER, "Another-1", "SHOW max_connections").unwrap(), "17");
    assert!(other.login(&cluster.host, MASTER, MASTER_PASSWORD, sql).is_err());
    assert_ne!(other.port(), cluster.server.port());
    let roles = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'infra%'";
    assert_eq!(other.superuser("postgres", roles), MASTER);
    assert!(
        other.major() >= 15
            && other.ca_file().exists()
            && other.log().contains("ready to accept connections")
    );
    let folder = other.ca_file().parent().unwrap().to_owned();
    drop(other);
    assert!(!folder.exists());
}
