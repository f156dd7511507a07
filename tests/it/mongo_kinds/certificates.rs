//! Users who prove themselves by a certificate, over TLS: what each really can do, and what is left of it when he goes.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use mongodb::{
    Client,
    bson::{Document, doc},
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress, Tls, TlsOptions},
};

use super::project::{Project, ask, certificate};
use crate::support::replica_set::{Layout, ReplicaSet, runtime, within};

/// How soon every member knows that a user is gone or has less, on a machine with much else to do.
const SOON: Duration = Duration::from_secs(30);

/// A certificate of the set's authority for this subject, as RFC 2253 writes it: the last part comes first.
fn issue(set: &ReplicaSet, subject: &str) -> PathBuf {
    let name = subject.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
    let parts: Vec<&str> = subject.split(',').rev().collect();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(set.folder()).env_clear().env("PATH", "/usr/bin:/bin");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(set.folder().join("client.extensions"), "extendedKeyUsage=clientAuth\n").unwrap();
    let [key, request, signed] = ["key", "csr", "crt"].map(|end| format!("{name}.{end}"));
    let subject = format!("/{}", parts.join("/"));
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &request,
        "-subj",
        &subject,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "client.extensions",
        "-out",
        &signed,
    ]);
    let both = [signed, key].map(|file| fs::read(set.folder().join(file)).unwrap()).concat();
    let file = set.folder().join(format!("{name}.pem"));
    fs::write(&file, both).unwrap();
    file
}

/// A session of whoever has this certificate, on one member.
fn session(set: &ReplicaSet, certificate: &std::path::Path, member: usize) -> Client {
    let mut tls = TlsOptions::default();
    tls.ca_file_path = Some(set.ca_file());
    tls.cert_key_file_path = Some(certificate.to_owned());
    let mut credential = Credential::default();
    credential.mechanism = Some(AuthMechanism::MongoDbX509);
    let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(set.members[member].port) };
    runtime::client(
        ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(30))
            .credential(credential)
            .tls(Tls::Enabled(tls))
            .build(),
    )
}

fn insert(number: i32) -> Document {
    doc! {"insert": "item", "documents": [{"_id": number}]}
}

fn find() -> Document {
    doc! {"find": "item"}
}

#[track_caller]
fn denied(result: Result<Document, String>) {
    let error = result.expect_err("it was allowed");
    assert!(error.contains("not authorized"), "{error}");
}

#[test]
fn each_reaches_just_his_own() {
    let set = Layout::of(3).tls().start();
    let services = "services: {billing: {mongo: events}, orders: {mongo: events}}\n";
    let people = "people: {ana: {}, boris: {}}\ndeveloper_groups:\n  readers: {members: [ana], services: [billing], access: read-only}\n  \
        writers: {members: [boris], services: [billing], access: read-write}\n";
    let project = Project::on(Box::new(set), &format!("{services}{people}"));
    let set: &ReplicaSet = &project.set;
    project.apply();
    project.settled();
    let primary = set.await_primary();
    let of = |name: &str| issue(set, &certificate(name));
    let (billing, ana, boris) = (of("svc_billing"), of("dev_ana"), of("dev_boris"));

    let service = session(set, &billing, primary);
    ask(&service, "billing", insert(1)).unwrap();
    ask(&service, "billing", find()).unwrap();
    for database in ["orders", "admin", "local", "config", "infra"] {
        denied(ask(&service, database, find()));
    }
    denied(ask(&service, "orders", insert(1)));
    denied(ask(&service, "admin", doc! {"usersInfo": {"forAllDBs": true}}));
    denied(ask(&service, "billing", doc! {"createUser": "x", "pwd": "x", "roles": []}));
    denied(ask(&service, "admin", doc! {"replSetGetStatus": 1}));
    // The mark is a privilege on a collection that cannot be.
    let marked = "system.infra:managed;env=local;service=billing";
    denied(ask(&service, "infra", doc! {"insert": marked, "documents": [{"_id": 1}]}));
    denied(ask(&service, "infra", doc! {"create": marked}));

    let reader = session(set, &ana, primary);
    ask(&reader, "billing", find()).unwrap();
    denied(ask(&reader, "billing", insert(2)));
    denied(ask(&reader, "orders", find()));
    let writer = session(set, &boris, primary);
    ask(&writer, "billing", insert(3)).unwrap();
    denied(ask(&writer, "orders", insert(3)));
    // A certificate of the same authority for nobody we know.
    let nobody = session(set, &issue(set, "CN=svc_eva,OU=apps,O=acme"), primary);
    ask(&nobody, "billing", find()).unwrap_err();

    // Open sessions on every member: who leaves loses what he had, in all of them, at once.
    let open = |certificate| (0..3).map(|member| session(set, certificate, member)).collect::<Vec<_>>();
    set.until_replicated();
    let sessions = open(&ana);
    for session in &sessions {
        ask(session, "billing", find()).unwrap();
    }
    project.write(&format!(
        "{services}{}",
        people.replace("ana: {}, ", "").replace("members: [ana]", "members: []")
    ));
    project.apply();
    for (member, session) in sessions.iter().enumerate() {
        let gone = || ask(session, "billing", find()).is_err();
        within(SOON, &format!("the open session on member {member} ends"), gone);
    }
    ask(&session(set, &ana, set.await_primary()), "billing", find()).unwrap_err();
    project.settled();

    // Who may only read from now on is refused in sessions that are open already.
    let sessions = open(&boris);
    let primary = set.await_primary();
    ask(&sessions[primary], "billing", insert(4)).unwrap();
    project.write(&format!(
        "{services}people: {{boris: {{}}}}\ndeveloper_groups: {{writers: {{members: [boris], services: [billing], access: read-only}}}}\n"
    ));
    project.apply();
    denied(ask(&sessions[primary], "billing", insert(5)));
    ask(&sessions[primary], "billing", find()).unwrap();
}

/// `infra` itself may come with a certificate; whom nobody named in the connection string it finds out.
#[test]
fn infra_logs_in_with_a_certificate() {
    let set = Layout::of(1).tls().start();
    let subject = "CN=operator,OU=people,O=acme";
    let mut project = Project::on(Box::new(set), "services: {billing: {mongo: events}}\n");
    project.by_hand(
        "$external",
        doc! {"createUser": subject, "roles": [{"role": "userAdminAnyDatabase", "db": "admin"}]},
    );
    let file = issue(&project.set, subject);
    let (host, authority) = (&project.set.members[0].host, project.set.ca_file());
    project.uri = format!(
        "mongodb://{host}/?authMechanism=MONGODB-X509&tls=true&tlsCAFile={}&tlsCertificateKeyFile={}",
        authority.display(),
        file.display()
    );
    project.apply();
    project.settled();
    assert_eq!(project.unmanaged(), Vec::<String>::new(), "it does not tell of itself");
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
}
