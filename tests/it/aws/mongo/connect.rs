//! `infra connect --mongo`: the password comes out of the person's own secret, and is seen by the command alone.

use std::{fs, os::unix::fs::PermissionsExt as _};

use mongodb::{bson::doc, options::ClientOptions};

use super::{CLUSTERS, PEOPLE, SERVICES, Shop};
use crate::{mongo_kinds::project::ask, support::replica_set::runtime};

#[test]
fn a_person_connects_with_the_password_of_his_secret() {
    let mut shop = Shop::new(&format!(
        "{CLUSTERS}{SERVICES}{}",
        PEOPLE
            .replace("people: {", "people: {boris: {principal: \"arn:aws:iam::111122223333:user/boris\"}, ")
    ));
    shop.apply();
    let programs = shop.account.folder().join("programs");
    fs::create_dir_all(&programs).unwrap();
    // What stands in for mongosh tells what it was given.
    let program = programs.join("mongosh");
    fs::write(&program, "#!/bin/sh\nprintf '%s\\n' \"$@\"\nprintf '%s' \"$MONGODB_URI\" > uri\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    shop.account.variables.push(("PATH", format!("{}:/usr/bin:/bin", programs.display())));

    let ran = shop.infra(&["connect", "--mongo", "events", "--as", "ana"]).expect(0);
    assert_eq!(ran.stdout, "--nodb\n--shell\n--eval\ndb = connect(process.env.MONGODB_URI)\n");
    assert_eq!(ran.stderr, "Connecting to events as dev_ana, by backend.\n");
    let uri = fs::read_to_string(shop.account.folder().join("uri")).unwrap();
    let password = shop.password("infra/prod/mongo/events/dev_ana");
    assert!(uri.starts_with(&format!("mongodb://dev_ana:{password}@")), "{uri}");
    let options =
        runtime::wait(std::time::Duration::from_secs(10), async move { ClientOptions::parse(uri).await })
            .unwrap()
            .unwrap();
    let ana = runtime::client(options);
    ask(&ana, "billing", doc! {"find": "item"}).unwrap();
    let error = ask(&ana, "billing", doc! {"insert": "item", "documents": [{"_id": 1}]}).unwrap_err();
    assert!(error.contains("not authorized"), "{error}");

    // A URL has no password, unless it is asked for.
    let ran = shop.infra(&["connect", "--mongo", "events", "--as", "ana", "--print"]).expect(0);
    assert!(
        ran.stdout.starts_with("mongodb://dev_ana@") && ran.stdout.contains("authMechanism=SCRAM-SHA-256"),
        "{}",
        ran.stdout
    );
    let shown =
        shop.account.infra(&["connect", "--mongo", "events", "--as", "ana", "--print", "--with-password"]);
    assert!(shown.expect(0).stdout.contains(&password));
    // Who is in no group is told so, and his secret is not so much as asked for.
    shop.account.calls();
    let ran = shop.infra(&["connect", "--mongo", "events", "--as", "boris"]).expect(1);
    assert!(ran.stderr.contains("boris is in no group with access to `events`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`backend` (read-only) has it"), "{}", ran.stderr);
    let ran = shop.infra(&["connect", "--mongo", "evnts", "--as", "ana"]).expect(1);
    assert!(
        ran.stderr.contains("there is only `events`") || ran.stderr.contains("did you mean `events`?"),
        "{}",
        ran.stderr
    );
    // What an application is told has no password either.
    shop.account.targets.clear();
}
