//! Ways of writing the same make no difference, anything else does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::*;

/// What a statement says, apart from how it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    sid: Option<String>,
    effect: &'static str,
    principal: BTreeMap<&'static str, BTreeSet<&'static str>>,
    actions: BTreeSet<&'static str>,
    not_action: bool,
    resources: BTreeSet<&'static str>,
    not_resource: bool,
    conditions: BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>,
    unknown: Option<u8>,
}

const ACTIONS: [&str; 5] = ["rds-db:connect", "sts:AssumeRole", "sts:TagSession", "s3:*", "iam:PassRole"];
const RESOURCES: [&str; 4] =
    ["*", "arn:aws:s3:::Bucket/a+b%", "arn:aws:s3:::bucket/a+b%", "arn:aws:rds-db:x"];
const ACCOUNTS: [&str; 3] = ["*", "111122223333", "arn:aws:iam::111122223333:user/ana"];
const OPERATORS: [&str; 3] = ["StringEquals", "ForAnyValue:StringLike", "Bool"];
const KEYS: [&str; 2] = ["aws:userid", "aws:RequestTag/Team"];
const VALUES: [&str; 4] = ["true", "3600", "True", "a b"];

fn said() -> impl Strategy<Value = Said> {
    let some = |of: &'static [&'static str]| prop::collection::btree_set(select(of), 1..4);
    let principal = prop_oneof![
        Just(BTreeMap::new()),
        some(&ACCOUNTS).prop_map(|aws| BTreeMap::from([("AWS", aws)])),
        (some(&ACCOUNTS), some(&["a.example", "b.example"]))
            .prop_map(|(aws, service)| BTreeMap::from([("AWS", aws), ("Service", service)])),
    ];
    let conditions =
        prop::collection::btree_map((select(&OPERATORS[..]), select(&KEYS[..])), some(&VALUES), 0..3);
    let sid = prop::option::of("[A-C]{1,2}");
    let flags = (any::<bool>(), any::<bool>(), prop::option::of(0..3u8));
    (sid, select(&["Allow", "Deny"][..]), principal, some(&ACTIONS), some(&RESOURCES), conditions, flags)
        .prop_map(
            |(
                sid,
                effect,
                principal,
                actions,
                resources,
                conditions,
                (not_action, not_resource, unknown),
            )| Said {
                sid,
                effect,
                principal,
                actions,
                not_action,
                resources,
                not_resource,
                conditions,
                unknown,
            },
        )
}

/// Decides, again and again, how something is written.
struct Whims(Vec<bool>, usize);

impl Whims {
    fn whim(&mut self) -> bool {
        self.1 += 1;
        self.0[self.1 % self.0.len()]
    }

    fn case(&mut self, text: &str) -> String {
        match (self.whim(), self.whim()) {
            (true, true) => text.to_uppercase(),
            (true, false) => text.to_lowercase(),
            _ => text.to_owned(),
        }
    }

    fn list(&mut self, mut items: Vec<Value>) -> Value {
        if self.whim() {
            items.reverse();
        }
        if self.whim() {
            items.push(items[0].clone());
        }
        match &items[..] {
            [one] if self.whim() => one.clone(),
            _ => Value::Array(items),
        }
    }

    fn set(&mut self, values: &BTreeSet<&str>) -> Value {
        let items = values.iter().map(|value| json!(value)).collect();
        self.list(items)
    }

    fn statement(&mut self, said: &Said) -> Value {
        let mut map = Map::new();
        match &said.sid {
            Some(sid) => drop(map.insert("Sid".into(), json!(sid))),
            None if self.whim() => drop(map.insert("Sid".into(), json!(""))),
            None => {}
        }
        map.insert("Effect".into(), json!(said.effect));
        if !said.principal.is_empty() {
            let anybody = said.principal == BTreeMap::from([("AWS", BTreeSet::from(["*"]))]);
            let value = if anybody && self.whim() {
                json!("*")
            } else {
                let root = self.whim();
                let kinds = said.principal.iter().map(|(kind, values)| {
                    let value = |value: &&str| match *value {
                        "111122223333" if root => json!("arn:aws:iam::111122223333:root"),
                        value => json!(value),
                    };
                    ((*kind).to_owned(), self.list(values.iter().map(value).collect()))
                });
                Value::Object(kinds.collect())
            };
            map.insert("Principal".into(), value);
        }
        let actions = said.actions.iter().map(|action| json!(self.case(action))).collect();
        let key = if said.not_action { "NotAction" } else { "Action" };
        map.insert(key.into(), self.list(actions));
        let key = if said.not_resource { "NotResource" } else { "Resource" };
        map.insert(key.into(), self.set(&said.resources));
        let mut by_operator: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for ((operator, key), values) in &said.conditions {
            let scalar = |value: &&str| match *value {
                "true" => json!(true),
                "3600" => json!(3600),
                value => json!(value),
            };
            let bare = self.whim();
            let values = values.iter().map(|value| if bare { scalar(value) } else { json!(value) }).collect();
            let (key, values) = (self.case(key), self.list(values));
            by_operator.entry(operator).or_default().insert(key, values);
        }
        if !by_operator.is_empty() || self.whim() {
            let operators =
                by_operator.into_iter().map(|(operator, keys)| (self.case(operator), Value::Object(keys)));
            map.insert("Condition".into(), Value::Object(operators.collect()));
        }
        if let Some(unknown) = said.unknown {
            map.insert("Novelty".into(), json!({ "a": [unknown, "x"] }));
        }
        Value::Object(map)
    }

    fn document(&mut self, said: &[Said]) -> String {
        let mut statements: Vec<Value> = said.iter().map(|said| self.statement(said)).collect();
        if self.whim() {
            statements.reverse();
        }
        let statements = match &statements[..] {
            [one] if self.whim() => one.clone(),
            _ => Value::Array(statements),
        };
        let value = json!({ "Version": VERSION, "Statement": statements });
        let text = if self.whim() { format!("{value:#}") } else { value.to_string() };
        if self.whim() { encoded(&text) } else { text }
    }
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn whims() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 7..40)
}

/// One thing said otherwise.
fn mutate(said: &mut [Said], place: prop::sample::Index, how: usize) {
    let one = place.get_mut(said);
    let toggle = |set: &mut BTreeSet<&'static str>, value| {
        if !set.remove(value) || set.is_empty() {
            set.insert(value);
        }
    };
    match how {
        0 => one.sid = Some("Fresh".into()),
        1 => one.effect = if one.effect == "Allow" { "Deny" } else { "Allow" },
        2 => drop(one.actions.insert("ec2:RunInstances")),
        3 => one.not_action = !one.not_action,
        4 => drop(one.resources.insert("arn:aws:s3:::fresh")),
        5 => one.not_resource = !one.not_resource,
        6 => drop(one.conditions.insert(("Null", "aws:x"), BTreeSet::from(["true"]))),
        7 => one.unknown = Some(one.unknown.map_or(0, |unknown| unknown + 1)),
        8 => drop(one.principal.entry("Federated").or_default().insert("arn:aws:iam::1:saml-provider/x")),
        // The case of a resource counts.
        9 => {
            let _ = one.resources.insert("arn:aws:s3:::FRESH");
        }
        _ => {
            for values in one.conditions.values_mut() {
                toggle(values, "fresh");
            }
            if one.conditions.is_empty() {
                one.principal.entry("AWS").or_default().insert("AIDAEXAMPLE123456789");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_same_in_other_words(said in prop::collection::vec(said(), 1..4), a in whims(), b in whims()) {
        let (a, b) = (Whims(a, 0).document(&said), Whims(b, 0).document(&said));
        let (a, b) = (Policy::<String>::parse(&a), Policy::<String>::parse(&b));
        prop_assert!(a.document().is_some(), "{a:?}");
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(a.size(), b.size());
        // What is sent reads back as the same.
        prop_assert_eq!(&Policy::<String>::parse(&a.minified()), &a);
        prop_assert_eq!(&serde_json::from_value::<Policy>(serde_json::to_value(&a).unwrap()).unwrap(), &a);
    }

    #[test]
    fn anything_else_is_a_difference(
        said in prop::collection::vec(said(), 1..4),
        place in any::<prop::sample::Index>(),
        how in 0..11usize,
        a in whims(),
        b in whims(),
    ) {
        let mut other = said.clone();
        mutate(&mut other, place, how);
        let sorted = |said: &[Said]| { let mut said = said.to_vec(); said.sort(); said };
        prop_assume!(sorted(&said) != sorted(&other));
        let (a, b) = (Whims(a, 0).document(&said), Whims(b, 0).document(&other));
        prop_assert_ne!(Policy::<String>::parse(&a), Policy::parse(&b), "{} {}", a, b);
    }

    #[test]
    fn nothing_panics(text in "[ -~é%]{0,60}") {
        let _ = Policy::<String>::parse(&text).minified();
    }
}

#[test]
fn statements_are_counted() {
    let one = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
    let document =
        |statements: Value| Policy::<String>::parse(&json!({ "Statement": statements }).to_string());
    assert_ne!(document(json!([one, one])), document(json!([one])));
}

#[test]
fn what_is_no_document_is_kept() {
    let kept = |text: &str| match Policy::<String>::parse(text) {
        Policy::Text(text) => text,
        Policy::Document(document) => panic!("{document:?}"),
    };
    for text in [
        "",
        "{",
        "%7",
        "%FF",
        "[]",
        "null",
        r#"{"Statement": "x"}"#,
        r#"{"Statement": [{}]}"#,
        r#"{"Statement": {"Effect": ["Allow"]}}"#,
        r#"{"Statement": {"Effect": "Allow", "Action": {}}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "ana"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Condition": {"Bool": {"a": null}}}}"#,
        r#"{"Statement": {"Effect": "Allow", "Condition": {"Bool": {"a": 1, "A": 1}}}}"#,
        r#"{"Statement": {"Effect": "Allow", "Condition": {"Bool": {}, "bool": {}}}}"#,
        r#"{"Statement": {"Effect": "Allow", "Effect": "Allow"}}"#,
        r#"{"Version": 2012, "Statement": []}"#,
    ] {
        assert_eq!(kept(text), text);
    }
    assert_eq!(kept("%7B%22a%2Bb+"), "{\"a+b+");
    let deep = "[".repeat(100_000);
    assert_eq!(kept(&deep), deep);
}

#[test]
fn versions_and_principals() {
    let parse = |text: &str| Document::<String>::parse(text).unwrap();
    let old = parse(r#"{"Statement": []}"#);
    assert_eq!(old.version, "2008-10-17");
    assert_ne!(old, parse(r#"{"Version": "2012-10-17", "Statement": []}"#));
    assert_ne!(old, parse(r#"{"Statement": [], "Id": "x"}"#));

    let trust = |principal: &str| {
        parse(&format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}}}"#
        ))
    };
    let gone = trust(r#"{"AWS": ["AIDAEXAMPLE123456789", "arn:aws:iam::111122223333:user/AROAX"]}"#);
    assert_eq!(gone.deleted_principals(), BTreeSet::from(["AIDAEXAMPLE123456789"]));
    // Only an account's root is the account, and only as an AWS principal.
    assert_ne!(
        trust(r#"{"AWS": "111122223333"}"#),
        trust(r#"{"AWS": "arn:aws:iam::111122223333:user/root"}"#)
    );
    assert_ne!(
        trust(r#"{"Federated": "111122223333"}"#),
        trust(r#"{"Federated": "arn:aws:iam::111122223333:root"}"#)
    );
}

#[test]
fn built_and_sent() {
    let statement = Statement::allow("Trust", &["sts:TagSession", "sts:AssumeRole"])
        .to("AWS", "arn:aws:iam::111122223333:root")
        .only_if("StringEquals", "aws:x", "1");
    let policy: Policy = Document::new(vec![statement]).into();
    let text = concat!(
        r#"{"Statement":[{"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:x":["1"]}},"#,
        r#""Effect":"Allow","Principal":{"AWS":["111122223333"]},"Sid":"Trust"}],"Version":"2012-10-17"}"#
    );
    assert_eq!(policy.minified(), text);
    assert_eq!(policy.size(), text.len());
    assert_eq!(Policy::parse(&format!("{text}\n ")), policy);
}
