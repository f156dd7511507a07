//! What holds for every text.

use proptest::{prelude::*, sample::select};

use super::*;

/// Everything that can be told of a text.
fn told(text: &str) -> String {
    match MongoUri::parse(text) {
        Ok(pasted) => format!("{} {:?} {:?}", pasted.uri, pasted.uri, pasted.warnings),
        Err(bad) => format!("{bad} {bad:?}"),
    }
}

/// Pieces out of which connection strings, and what is almost one, are made.
fn piece() -> impl Strategy<Value = String> {
    let signs = select(vec![
        "@",
        ":",
        "/",
        "?",
        "#",
        "%",
        "&",
        "=",
        ",",
        "[",
        "]",
        "%4",
        "%40",
        "%\u{201d}",
        "\u{201c}",
        "\u{201d}",
        "'",
        "\"",
        "\n",
        " ",
        "\t",
        "\u{a0}",
        "\u{200b}",
        "\u{feff}",
        "\u{2013}",
        "&amp;",
        "\\",
        "$",
        "\u{e4}",
        "\0",
    ]);
    let words = select(vec![
        "mongodb://",
        "mongodb+srv://",
        "admin",
        "h1",
        "27017",
        "::1",
        "replicaSet",
        "tls",
        "true",
        "authSource",
        "$external",
        "authMechanism",
        "MONGODB-X509",
        "loadBalanced",
        "tlsCAFile",
        "appName",
        "0",
        "99999",
    ]);
    prop_oneof![signs.prop_map(str::to_owned), words.prop_map(str::to_owned), "[a-z0-9]{1,3}"]
}

fn pieces(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..most).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn nothing_panics(text in prop_oneof![pieces(14), ".*", pieces(12).prop_map(|rest| format!("mongodb://{rest}"))]) {
        if let Ok(pasted) = MongoUri::parse(&text) {
            let again = pasted.uri.to_string();
            prop_assert!(again.starts_with("mongodb"), "{}", again);
        }
    }

    /// Whatever else is in a password, and however wrong the rest is: what is in it is not told.
    #[test]
    fn no_password_is_told(
        before in pieces(3),
        after in pieces(3),
        user in "[a-z]{1,5}",
        rest in prop_oneof![
            Just("h1,h2:27018/admin?replicaSet=rs0".to_owned()),
            pieces(6).prop_map(|rest| format!("h1/{rest}")),
            pieces(4).prop_map(|hosts| format!("h1,{hosts}")),
        ],
        around in select(vec![("", ""), ("\"", "\""), ("\u{201c}", "\u{201d}"), ("uri = ", ""), ("\n", "\n")]),
        scheme in select(vec!["mongodb://", "mongodb+srv://", "MONGODB://", "postgres://", ""]),
    ) {
        // As in life: encoded in part or not at all.
        let text = format!("{}{scheme}{user}:{before}Canary{after}Hidden@{rest}{}", around.0, around.1);
        let told = told(&text);
        prop_assert!(!told.contains("Canary") && !told.to_lowercase().contains("hidden"), "{:?}: {}", text, told);
    }

    /// What is written correctly is read as it was meant.
    #[test]
    fn what_is_written_correctly_is_read(
        user in "\\PC{1,8}",
        password in "\\PC{1,12}",
        hosts in prop::collection::btree_map("[a-z]{1,4}(-[0-9])?", prop::option::of(1..=u16::MAX), 1..4),
        database in prop::option::of("[a-z]{1,6}"),
        set in prop::option::of("[a-zA-Z0-9 /&=+]{1,6}"),
    ) {
        prop_assume!(!["<password>", "***"].contains(&password.as_str()));
        let list: Vec<_> = hosts.iter().map(|(name, port)| match port {
            Some(port) => format!("{name}:{port}"),
            None => name.clone(),
        }).collect();
        let text = format!(
            "mongodb://{}:{}@{}/{}{}",
            percent::encode(&user),
            percent::encode(&password),
            list.join(","),
            database.clone().unwrap_or_default(),
            set.as_ref().map(|set| format!("?replicaSet={}", percent::encode(set))).unwrap_or_default(),
        );
        let pasted = MongoUri::parse(&text).map_err(|bad| TestCaseError::fail(format!("{text}: {bad}")))?;
        prop_assert_eq!(pasted.warnings, Vec::<String>::new());
        let uri = pasted.uri;
        prop_assert_eq!(uri.user, Some(user));
        prop_assert_eq!(uri.password.map(|password| password.reveal().clone()), Some(password));
        let expected: Vec<_> = hosts.into_iter()
            .map(|(name, port)| Host { name, port: port.unwrap_or(DEFAULT_PORT) })
            .collect();
        prop_assert_eq!(uri.seeds, Seeds::Hosts(expected));
        prop_assert_eq!(uri.auth_source, database.unwrap_or_else(|| "admin".into()));
        prop_assert_eq!(uri.replica_set, set);
    }
}
