//! Options, row by row.

use super::*;

#[test]
fn options_that_are_read() {
    for (options, expected) in [
        ("replicaSet=rs0", "&replicaSet=rs0"),
        ("REPLICASET=rs0", "&replicaSet=rs0"),
        ("replicaSet=rs%2D0", "&replicaSet=rs-0"),
        ("replicaSet=rs0&replicaSet=rs0", "&replicaSet=rs0"),
        ("&replicaSet=rs0&&", "&replicaSet=rs0"),
        ("authMechanism=SCRAM-SHA-1", "&authMechanism=SCRAM-SHA-1"),
        ("authMechanism=scram-sha-256", "&authMechanism=SCRAM-SHA-256"),
        ("authMechanism=DEFAULT", ""),
        ("tls=true", "&tls=true"),
        ("ssl=true", "&tls=true"),
        ("ssl=true&tls=true", "&tls=true"),
        ("tls=false", ""),
        ("tlsCAFile=%2Fetc%2Fca.pem", "&tls=true&tlsCAFile=%2Fetc%2Fca.pem"),
        ("tls=true&tlsCAFile=/etc/ca.pem", "&tls=true&tlsCAFile=%2Fetc%2Fca.pem"),
        ("tlsCertificateKeyFile=us.pem", "&tls=true&tlsCertificateKeyFile=us.pem"),
        ("tlsInsecure=false", ""),
        ("appName=x&connectTimeoutMS=1&serverSelectionTimeoutMS=1&readPreference=secondary", ""),
        ("directConnection=true", ""),
        ("loadBalanced=false", ""),
        ("retryWrites=true&w=majority", ""),
    ] {
        let text = format!("mongodb://u:p@a,b/?{options}");
        let expected = format!("mongodb://u:***@a:27017,b:27017/?authSource=admin{expected}");
        assert_eq!(shown(&text), expected, "{options}");
    }
}

#[test]
fn options_that_are_put_right() {
    for (options, expected, warning) in [
        ("authSource=x&amp;replicaSet=rs0", "authSource=x&replicaSet=rs0", "`&amp;` was read as `&`"),
        (
            "socketTimeoutMS=1&slaveOk&wtimeout=1&timeoutMS=1&compressors=zstd&uuidRepresentation=standard&slaveOk=1",
            "authSource=admin",
            "options without meaning here were left out: compressors, slaveOk, socketTimeoutMS, timeoutMS, uuidRepresentation, \
             wtimeout and 1 more",
        ),
        (
            "socketTimeoutMS=1",
            "authSource=admin",
            "options without meaning here were left out: socketTimeoutMS",
        ),
        ("b%61d!=1", "authSource=admin", "options without meaning here were left out: 1 of them"),
        (
            "tlsInsecure=true",
            "authSource=admin&tls=true&tlsAllowInvalidCertificates=true",
            "certificates are not checked: whoever sits in between can read the password",
        ),
        (
            "tls=true&tlsAllowInvalidCertificates=true",
            "authSource=admin&tls=true&tlsAllowInvalidCertificates=true",
            "certificates are not checked: whoever sits in between can read the password",
        ),
        (
            "tls=true&tlsAllowInvalidHostnames=true",
            "authSource=admin&tls=true",
            "tlsAllowInvalidHostnames was left out: the names in certificates are checked",
        ),
    ] {
        let (uri, found) = mended(&format!("mongodb://u:p@h/?{options}"));
        assert_eq!(uri, format!("mongodb://u:***@h:27017/?{expected}"));
        assert_eq!(found, warning);
    }
}

#[test]
fn options_that_are_refused() {
    for (options, message, hint) in [
        (
            "loadBalanced=true",
            "loadBalanced=true cannot be used: each member must be reached by itself",
            "write the connection string of the replica set behind the load balancer",
        ),
        (
            "replicaSet=a&replicaSet=b",
            "the option replicaSet is there twice, with different values",
            "keep one of them",
        ),
        ("replicaSet", "the option replicaSet has no value", "write replicaSet=..., or leave it out"),
        ("authSource=", "the option authSource has no value", "write authSource=..., or leave it out"),
        ("replicaSet=%zz", "the value of replicaSet is not percent-encoded", "write a % as %25"),
        ("tls=yes", "the option tls is neither true nor false", ""),
        ("tls=true&ssl=false", "tls and ssl contradict each other", "keep tls"),
        (
            "tls=false&tlsCAFile=ca.pem",
            "there are options for TLS, but TLS is switched off",
            "write tls=true, or leave the other tls options out",
        ),
        (
            "sslCertificateAuthorityFile=ca.pem",
            "the option sslCertificateAuthorityFile is not understood",
            "write tlsCAFile=",
        ),
        ("ssl_ca_certs=ca.pem", "the option ssl_ca_certs is not understood", "write tlsCAFile="),
        (
            "sslPEMKeyFile=us.pem",
            "the option sslPEMKeyFile is not understood",
            "write tlsCertificateKeyFile=",
        ),
        (
            "tlsCertificateKeyFilePassword=canary",
            "a key that is protected by a password cannot be used",
            "point tlsCertificateKeyFile at a file whose key is not encrypted, readable by you alone",
        ),
        (
            "authMechanism=GSSAPI",
            "authMechanism=GSSAPI cannot be used",
            "write SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509, or leave it out",
        ),
        (
            "authMechanism=MONGODB-AWS",
            "authMechanism=MONGODB-AWS cannot be used",
            "write SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509, or leave it out",
        ),
        (
            "authMechanism=canary",
            "there is no such authMechanism",
            "write SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509, or leave it out",
        ),
        ("srvServiceName=x", "srvServiceName cannot be used", "list the members, behind mongodb://"),
        (
            "authSource=$external",
            "authSource=$external is for certificates",
            "add authMechanism=MONGODB-X509, or name the database that knows the user",
        ),
        (
            "authMechanism=MONGODB-X509&authSource=admin&tlsCertificateKeyFile=us.pem",
            "with MONGODB-X509 authSource is $external",
            "leave authSource out",
        ),
        (
            "authMechanism=MONGODB-X509&tls=true",
            "MONGODB-X509 needs a certificate",
            "add tls=true&tlsCertificateKeyFile=, with a file that has the certificate and its key",
        ),
        (
            "appName=a@b",
            "there is an `@` behind the hosts, so the user or the password is cut short",
            login::HOW_TO_ENCODE,
        ),
    ] {
        assert_eq!(
            refused(&format!("mongodb://u:p@h/?{options}")),
            (message.into(), hint.into()),
            "{options}"
        );
    }
}

#[test]
fn certificates_instead_of_passwords() {
    let options = "authMechanism=MONGODB-X509&tlsCertificateKeyFile=us.pem&tlsCAFile=ca.pem";
    let expected = "authSource=%24external&authMechanism=MONGODB-X509&tls=true&tlsCAFile=ca.pem&tlsCertificateKeyFile=us.pem";
    assert_eq!(shown(&format!("mongodb://h/app?{options}")), format!("mongodb://h:27017/?{expected}"));
    assert_eq!(
        shown(&format!("mongodb://CN=us@h/?{options}&authSource=$external")),
        format!("mongodb://CN%3Dus@h:27017/?{expected}")
    );
    let (uri, warning) = mended(&format!("mongodb://CN=us:canary@h/?{options}"));
    assert_eq!(uri, format!("mongodb://CN%3Dus@h:27017/?{expected}"));
    assert_eq!(warning, "the password is not used: MONGODB-X509 proves who we are by a certificate");
}
