//! Names in pictures, and what the languages make of them.

use std::collections::BTreeMap;

use regex::Regex;

use super::{dot, mermaid, svg};
use crate::model::picture::{End, Fate, Kind, Picture, Way};

const HOSTILE: [&str; 8] = [
    "\"]; click n0 href \"javascript:alert(1)\"",
    "a\nend\n%% comment",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "`**markdown**` #quot; #35; &lt;b&gt; {{x}}",
    "\\\" ]; n0 -> n1 [label=\\N \\l \\G",
    "\u{202e}\u{200b}\u{1b}[31m\u{0}\u{ffff}",
    "]]></style></svg>",
    "",
];

fn hostile() -> Picture {
    let mut picture = Picture {
        title: HOSTILE[2].into(),
        facts: HOSTILE.map(str::to_owned).into(),
        planned: true,
        ..Picture::default()
    };
    let outer = picture.frame(HOSTILE[0], None);
    for (number, text) in HOSTILE.iter().enumerate() {
        let frame = picture.frame(text, Some(outer));
        let kind = if number % 2 == 0 { Kind::Database } else { Kind::Group };
        let node = picture.node(kind, text, HOSTILE.map(str::to_owned).into(), Some(frame));
        picture.nodes[node].fate = Some(Fate::ALL[number % 5]);
        picture.nodes[node].objects = [format!("toy.x{text}").parse().unwrap()].into();
        picture.edge(End::Node(node), End::Frame(frame), [Way::Plain, Way::Reads, Way::Writes][number % 3]);
        picture.edge(End::Node(0), End::Node(node), Way::Writes);
    }
    picture
}

/// Every line is one of the few that we write, and a label holds nothing but letters and numbers of letters.
fn is_mermaid(text: &str) {
    let label = r"(?:[\w .,:/\-_+~()·−±‖]|#\d+;|<br/>)*";
    let end = "[nf][0-9]+";
    let lines = [
        format!(
            r#"^ *n\d+(?:\(\["{label}"\]\)|\[\["{label}"\]\]|\[\("{label}"\)\]|\{{\{{"{label}"\}}\}}|\("{label}"\)|\["{label}"\])$"#
        ),
        format!(r#"^ *subgraph f\d+\["{label}"\]$"#),
        r"^ *end$".into(),
        format!(r"^  {end} (?:-->|-\.->|==>|-\. reads \.->|== writes ==>) {end}$"),
        r"^  classDef [a-z]+ [a-z0-9:#, \-]+$".into(),
        format!(r"^  class {end}(?:,{end})* [a-z]+$"),
    ];
    let lines: Vec<Regex> = lines.iter().map(|line| Regex::new(line).unwrap()).collect();
    let mut depth = 0_i32;
    assert_eq!(text.lines().next(), Some("flowchart LR"));
    for line in text.lines().skip(1) {
        assert!(lines.iter().any(|known| known.is_match(line)), "{line}");
        depth += i32::from(line.trim().starts_with("subgraph")) - i32::from(line.trim() == "end");
        assert!(depth >= 0, "{line}");
    }
    assert_eq!(depth, 0);
}

/// A DOT string ends at a quote that no backslash escapes; between strings there is nothing that a name could have put there.
fn is_dot(text: &str) {
    let mut outside = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '"' {
            outside.push(c);
            continue;
        }
        loop {
            match characters.next() {
                Some('"') => break,
                // Nothing of ours but a line break, a backslash and a quote is escaped.
                Some('\\') => assert!(matches!(characters.next(), Some('\\' | '"' | 'n')), "{text}"),
                Some(c) => assert!(!c.is_control(), "{text}"),
                None => panic!("a string has no end: {text}"),
            }
        }
    }
    assert!(Regex::new(r"^[a-zA-Z0-9_\s{}\[\]=,;>.\-]*$").unwrap().is_match(&outside), "{outside}");
    assert_eq!(outside.matches('{').count(), outside.matches('}').count());
}

#[test]
fn names_are_labels_and_nothing_else() {
    let picture = hostile();
    is_mermaid(&mermaid(&picture));
    is_dot(&dot(&picture));
    let drawn = svg(&picture);
    assert!(
        !drawn.contains("<script")
            && !drawn.contains("<img")
            && !drawn.contains('\u{202e}')
            && !drawn.contains('\u{ffff}')
    );
    assert_eq!(drawn.matches("</svg>").count(), 1);
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'), "{drawn:?}");
    assert_eq!(
        (mermaid(&picture), dot(&picture), svg(&picture)),
        (mermaid(&hostile()), dot(&hostile()), drawn)
    );
}

#[test]
fn an_empty_picture_is_one() {
    let empty = Picture::default();
    is_mermaid(&mermaid(&empty));
    is_dot(&dot(&empty));
    assert!(svg(&empty).contains("viewBox=\"0 0 640"));
}

#[test]
fn what_stands_for_many_has_the_fate_of_all_or_changes() {
    let names = ["a.1", "a.2"].map(|name| name.parse().unwrap());
    let objects = names.clone().into();
    let [one, two] = names;
    let of = |fates: BTreeMap<_, _>| Fate::of(&objects, &fates);
    assert_eq!(of(BTreeMap::new()), None);
    assert_eq!(of([(one.clone(), Fate::Create), (two.clone(), Fate::Create)].into()), Some(Fate::Create));
    assert_eq!(of([(one.clone(), Fate::Create)].into()), Some(Fate::Update));
    assert_eq!(of([(one.clone(), Fate::Create), (two, Fate::Hold)].into()), Some(Fate::Hold));
    assert_eq!(of([(one, Fate::Delete)].into()), Some(Fate::Update));
}
