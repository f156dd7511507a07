//! What people paste, row by row; and that no password is ever told.

mod every_text;
mod options;

use super::*;

const SECRET: &str = "canary-7f3a";

#[track_caller]
fn read(text: &str) -> (MongoUri, Vec<String>) {
    let Pasted { uri, warnings } = MongoUri::parse(text).unwrap_or_else(|bad| panic!("{text:?}: {bad:?}"));
    (uri, warnings)
}

/// As it is shown, without a warning.
#[track_caller]
fn shown(text: &str) -> String {
    let (uri, warnings) = read(text);
    assert_eq!(warnings, [""; 0], "{text:?}");
    uri.to_string()
}

/// As it is shown, with the only warning.
#[track_caller]
fn mended(text: &str) -> (String, String) {
    let (uri, mut warnings) = read(text);
    assert_eq!(warnings.len(), 1, "{text:?}: {warnings:?}");
    (uri.to_string(), warnings.remove(0))
}

#[track_caller]
fn refused(text: &str) -> (String, String) {
    match MongoUri::parse(text) {
        Ok(pasted) => panic!("{text:?} is {}", pasted.uri),
        Err(BadUri { message, hint }) => (message, hint.unwrap_or_default()),
    }
}

#[test]
fn what_the_issue_shows() {
    let (uri, warnings) =
        read("mongodb://admin:password@vm-hostname1,vm-hostname2,vm-hostname3/admin?otherParams");
    assert_eq!(
        uri.to_string(),
        "mongodb://admin:***@vm-hostname1:27017,vm-hostname2:27017,vm-hostname3:27017/?authSource=admin"
    );
    assert_eq!(uri.password.unwrap().reveal(), "password");
    assert_eq!(warnings, ["options without meaning here were left out: otherParams"]);
}

#[test]
fn hosts_and_databases() {
    for (text, expected) in [
        ("mongodb://h", "mongodb://h:27017/?authSource=admin"),
        ("MongoDB://H/", "mongodb://h:27017/?authSource=admin"),
        ("mongodb://h:1", "mongodb://h:1/?authSource=admin"),
        ("mongodb://h:65535/app", "mongodb://h:65535/?authSource=app"),
        ("mongodb://a,b:2,c/", "mongodb://a:27017,b:2,c:27017/?authSource=admin"),
        ("mongodb://a,A:27017,b", "mongodb://a:27017,b:27017/?authSource=admin"),
        ("mongodb://10.0.0.1,10.0.0.2:1", "mongodb://10.0.0.1:27017,10.0.0.2:1/?authSource=admin"),
        ("mongodb://[::1]", "mongodb://[::1]:27017/?authSource=admin"),
        ("mongodb://[2001:DB8::1]:7,h", "mongodb://[2001:db8::1]:7,h:27017/?authSource=admin"),
        ("mongodb://mongo_1.internal.", "mongodb://mongo_1.internal.:27017/?authSource=admin"),
        ("mongodb://h?replicaSet=rs0", "mongodb://h:27017/?authSource=admin&replicaSet=rs0"),
        ("mongodb://h/app?authSource=users", "mongodb://h:27017/?authSource=users"),
        ("mongodb://h/%61pp", "mongodb://h:27017/?authSource=app"),
        (
            "mongodb+srv://Cluster.example.net/app",
            "mongodb+srv://cluster.example.net/?authSource=app&tls=true",
        ),
        ("mongodb+srv://c.example.net/?tls=false", "mongodb+srv://c.example.net/?authSource=admin&tls=false"),
    ] {
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn hosts_and_databases_that_are_none() {
    for (text, message) in [
        ("mongodb://", "it names no host"),
        ("mongodb:///admin", "it names no host"),
        ("mongodb://u:p@/admin", "it names no host"),
        ("mongodb://a,,b", "host 2 is empty"),
        ("mongodb://u:p@a,", "host 2 is empty"),
        ("mongodb://u:p@a:0", "host 1 (`a:0`) has a port that is none"),
        ("mongodb://u:p@a:65536", "host 1 (`a:65536`) has a port that is none"),
        ("mongodb://u:p@a:+1", "host 1 (`a:+1`) has a port that is none"),
        ("mongodb://u:p@a:", "host 1 (`a:`) has a port that is none"),
        ("mongodb://::1", "host 1 is an IPv6 address without brackets, or has more than one port"),
        (
            "mongodb://u:p@h,fe80::1:27017",
            "host 2 (`fe80::1:27017`) is an IPv6 address without brackets, or has more than one port",
        ),
        ("mongodb://u:p@[::1", "host 1 (`[::1`) is no IPv6 address"),
        ("mongodb://u:p@[h]", "host 1 (`[h]`) is no IPv6 address"),
        ("mongodb://u:p@[::1]27017", "host 1 (`[::1]27017`) has a port that is none"),
        (
            "mongodb://u:p@%2Ftmp%2Fmongodb-27017.sock",
            "host 1 (`%2Ftmp%2Fmongodb-27017.sock`) is a socket of one machine",
        ),
        ("mongodb://u:p@a..b", "host 1 (`a..b`) is no name of a host"),
        ("mongodb://u:p@a!b", "host 1 (`a!b`) is no name of a host"),
        ("mongodb://h/a%20b", "what follows the hosts is no name of a database"),
        ("mongodb://h/a/b", "what follows the hosts is no name of a database"),
        ("mongodb+srv://a,b", "mongodb+srv:// takes exactly one host"),
        ("mongodb+srv://a.example.net:27017", "mongodb+srv:// takes no port: DNS tells it"),
        ("mongodb+srv://u:p@10.0.0.1", "mongodb+srv:// takes a name in DNS, which `10.0.0.1` is not"),
        ("mongodb+srv://[::1]", "mongodb+srv:// takes a name in DNS, which what follows is not"),
    ] {
        assert_eq!(refused(text).0, message, "{text}");
    }
    assert_eq!(refused("mongodb://::1").1, "write it as [2001:db8::1]:27017");
}

#[test]
fn what_is_no_connection_string() {
    assert_eq!(refused(" \n").0, "it is empty");
    for (text, hint) in [
        ("vm-1,vm-2", "such as mongodb://user:password@host-1,host-2/admin"),
        ("postgres://u:canary@h", "it begins with postgres://, which is something else"),
        ("URI=mongodb://u:canary@h", "leave out what stands before it"),
        ("canary://u@h", "such as mongodb://user:password@host-1,host-2/admin"),
        ("mongodb:/h", "such as mongodb://user:password@host-1,host-2/admin"),
    ] {
        let (message, found) = refused(text);
        assert_eq!(message, "it does not begin with mongodb:// or mongodb+srv://", "{text}");
        assert_eq!(found, hint, "{text}");
    }
}

#[test]
fn what_stands_around_it_is_left_out() {
    let plain = "mongodb://u:***@h:27017/?authSource=admin&replicaSet=rs0";
    let text = "mongodb://u:p@h/?replicaSet=rs0";
    assert_eq!(shown(&format!("  {text}\r\n")), plain);
    assert_eq!(shown(&format!("\u{a0}{text}\u{2003}")), plain);
    for (before, after) in [
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("\u{201c}", "\u{201d}"),
        ("\u{201e}", "\u{201c}"),
        ("\u{2018}", "\u{2019}"),
        ("\u{ab}", "\u{bb}"),
        ("<", ">"),
        (" \" ", "\";\n"),
        ("", "\u{201d}"),
        ("\u{201c}", ""),
    ] {
        let (uri, warning) = mended(&format!("{before}{text}{after}"));
        assert_eq!(uri, plain, "{before}{after}");
        assert_eq!(warning, "the quotes around the connection string were left out");
    }
    let (uri, warning) = mended(&format!("\u{feff}{text}"));
    assert_eq!(uri, plain);
    assert_eq!(warning, "a byte order mark beside the connection string was left out");
}

#[test]
fn line_breaks_and_spaces_around_commas_are_left_out() {
    let plain = "mongodb://u:***@a:27017,b:27017/?authSource=admin&replicaSet=rs0";
    for text in [
        "mongodb://u:p@a,\nb/admin?replicaSet=rs0",
        "mongodb://u:p@a,b/admin\n  ?replicaSet=rs0",
        "mongodb://u:p@a,b/ad\r\n\tmin?replicaSet=rs0",
        "mongodb://u:p@a \n ,b/?replica\u{2028}Set=rs0",
        "mongodb://u:\np@a,b/?replicaSet=rs0",
    ] {
        let (uri, warning) = mended(text);
        assert_eq!(uri, plain, "{text:?}");
        assert_eq!(warning, "line breaks in the connection string were left out");
    }
    for text in [
        "mongodb://u:p@a, b/admin?replicaSet=rs0",
        "mongodb://u:p@a ,\tb/admin?replicaSet=rs0",
        "mongodb://u:p@a,\u{a0}b/admin?replicaSet=rs0",
    ] {
        let (uri, warning) = mended(text);
        assert_eq!(uri, plain, "{text:?}");
        assert_eq!(warning, "white space between the hosts was left out");
    }
    assert_eq!(
        refused("mongodb://u:p@a b"),
        ("there is white space at character 16".into(), "delete it".into())
    );
    assert_eq!(refused("mongodb://h/?replicaSet=rs 0").0, "there is white space at character 27");
    assert_eq!(
        refused("mongodb://u:p, q@a"),
        (
            "there is white space in the user or the password (character 15)".into(),
            "if it belongs there, write a space as %20".into()
        )
    );
}

#[test]
fn what_cannot_be_seen_is_told_by_place_and_code() {
    for (text, message) in [
        ("mongodb://h\u{200b}1", "character 12 is U+200B, which cannot be seen"),
        ("  \u{201c}mongodb://h\u{200d}1\u{201d}", "character 15 is U+200D, which cannot be seen"),
        ("\u{200b}mongodb://h", "character 1 is U+200B, which cannot be seen"),
        ("mongodb://h/\u{feff}admin", "character 13 is U+FEFF, which cannot be seen"),
        ("mongodb://h\u{0}", "character 12 is U+0000, which cannot be seen"),
        ("mongodb://h/?replicaSet=rs0\u{ad}", "character 28 is U+00AD, which cannot be seen"),
        ("mongodb://u\u{2060}s:p@h", "character 12 is U+2060, which cannot be seen"),
        (
            "mongodb://u:p\u{200b}q@h",
            "the password has a character that cannot be seen (character 14 of the text)",
        ),
    ] {
        assert_eq!(refused(text).0, message, "{text:?}");
    }
}

#[test]
fn other_scripts_are_for_users_and_passwords() {
    assert_eq!(
        refused("mongodb://vm\u{2013}1"),
        (
            "character 13 is U+2013 (\u{2013}), which no host and no option has".into(),
            "write a plain hyphen".into()
        )
    );
    let (message, hint) = refused("mongodb://u:p@h/?replicaSet=\u{201c}rs0\u{201d}&tls=true");
    assert_eq!(message, "character 29 is U+201C (\u{201c}), which no host and no option has");
    assert_eq!(hint, "leave the quotes out");
    assert_eq!(
        refused("mongodb://b\u{fc}ro").0,
        "character 12 is U+00FC (\u{fc}), which no host and no option has"
    );
    let (uri, _) = read("mongodb://j\u{f6}rg:p\u{e4}\u{201d}%C3%BC@h");
    assert_eq!(uri.user.as_deref(), Some("j\u{f6}rg"));
    assert_eq!(uri.password.as_ref().unwrap().reveal(), "p\u{e4}\u{201d}\u{fc}");
    assert_eq!(uri.to_string(), "mongodb://j%C3%B6rg:***@h:27017/?authSource=admin");
}

#[test]
fn percent_encoding_is_undone() {
    let (uri, _) = read("mongodb://a%40b:p%40%3A%2f%23%3F%25%20x@h");
    assert_eq!(uri.user.as_deref(), Some("a@b"));
    assert_eq!(uri.password.as_ref().unwrap().reveal(), "p@:/#?% x");
    assert_eq!(uri.to_string(), "mongodb://a%40b:***@h:27017/?authSource=admin");
    for (password, reason) in [
        ("%", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("100%", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("%zz", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("%4", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("%+1", "the password has a `%` that is not followed by two hexadecimal digits"),
        // On this the driver panics.
        ("%\u{201d}", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("%4\u{201d}", "the password has a `%` that is not followed by two hexadecimal digits"),
        ("%FF", "the password is not UTF-8 once its percent-encoding is undone"),
    ] {
        let (message, hint) = refused(&format!("mongodb://u:{SECRET}{password}@h"));
        assert_eq!(message, reason, "{password}");
        assert!(!hint.contains(SECRET), "{hint}");
    }
    assert_eq!(
        refused("mongodb://u%:p@h").0,
        "the user has a `%` that is not followed by two hexadecimal digits"
    );
}

#[test]
fn a_password_that_should_be_encoded_says_how_and_shows_nothing() {
    for special in ["@", ":", "/", "#", "?", "@@", "/@", "?@", "/?", ":/", "?x=@", "#/"] {
        for tail in ["@h", "@h1:1,h2/admin", "@h/admin?replicaSet=rs0&tls=true"] {
            let text = format!("mongodb://admin:{SECRET}{special}secret{tail}");
            let (message, hint) = refused(&text);
            assert!(!format!("{message}{hint}").contains("secret"), "{text}: {message} {hint}");
            assert!(!format!("{message}{hint}").contains(SECRET), "{text}: {message} {hint}");
            assert!(hint.contains("%40"), "{text}: {message} {hint}");
        }
    }
    // A password of digits looks like a port.
    assert!(refused("mongodb://admin:12/34@h/admin").1.contains("%2F"));
    assert!(refused("mongodb://admin:12?34@h/admin").1.contains("%3F"));
    // Without its host a login looks like one.
    assert_eq!(refused("mongodb://admin:canary").0, "host 1 has a port that is none");
    assert_eq!(refused("mongodb://admin:canary,h2:27017/").0, "host 1 has a port that is none");
}

#[test]
fn users_without_passwords_and_passwords_without_users() {
    for (text, message) in [
        ("mongodb://@h", "there is no user before the `@`"),
        ("mongodb://:canary@h", "there is no user before the `@`"),
        ("mongodb://u@h", "there is a user, but no password"),
        ("mongodb://u:@h", "the password is empty"),
        ("mongodb://u:<password>@h", "in the password's place stands a placeholder"),
        ("mongodb+srv://u:<db_password>@h.example.net", "in the password's place stands a placeholder"),
        ("mongodb://u:***@h", "in the password's place stands a placeholder"),
        ("mongodb://h/?authMechanism=SCRAM-SHA-256", "there is an authMechanism, but no user"),
    ] {
        assert_eq!(refused(text).0, message, "{text}");
    }
    assert_eq!(shown("mongodb://h/app"), "mongodb://h:27017/?authSource=app");
}

/// What is shown can be read again, password apart.
#[test]
fn what_is_shown_is_a_connection_string() {
    for text in [
        "mongodb://a%40b:p@a,[::1]:1/app?replicaSet=r%26s&tlsCAFile=/x%20y&tlsCertificateKeyFile=k&authMechanism=SCRAM-SHA-1",
        "mongodb+srv://u:p@h.example.net/app",
        "mongodb+srv://u:p@h.example.net/?tls=false",
        "mongodb://h/?authMechanism=MONGODB-X509&tlsCertificateKeyFile=us.pem",
    ] {
        let (uri, _) = read(text);
        let (again, _) = read(&uri.to_string().replace(":***@", ":p@"));
        assert_eq!(again, uri, "{text}");
    }
}
