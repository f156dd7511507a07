use proptest::prelude::*;

use super::*;

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(format(text).as_deref(), Ok(expected));
    assert_eq!(format(expected).as_deref(), Ok(expected), "and stays so");
}

#[test]
fn columns_blanks_and_ends() {
    becomes(
        "\u{feff}\n\n# first\r\nservices:\r\n    orders:   {a: 1}   # why\r\n\r\n\r\n    # of billing\r\n    billing:\r\n          mongo: events  \r\n\r\n",
        "# first\nservices:\n  orders:   {a: 1}   # why\n\n  # of billing\n  billing:\n    mongo: events\n",
    );
    becomes("a: 1", "a: 1\n");
    becomes("# nothing\n\n\n\n# but comments   ", "# nothing\n\n# but comments\n");
}

#[test]
fn lists_stand_below_their_keys() {
    becomes(
        "a:\n- 1\n-   b: 2\n    c: 3\n- - 4\n  - 5\nd: 6\n",
        "a:\n  - 1\n  - b: 2\n    c: 3\n  - - 4\n    - 5\nd: 6\n",
    );
    becomes("a:\n    -\n        b: 2\n", "a:\n  -\n    b: 2\n");
    becomes("- a\n-     b\n", "- a\n- b\n");
}

/// What looks like structure and is none.
#[test]
fn texts_are_left_alone() {
    becomes(
        "a:\n    text: |\n        # no comment\n          deeper:   \n\n\n        end\n    b: >-\n      x\n      y\n",
        "a:\n  text: |\n    # no comment\n      deeper:   \n\n\n    end\n  b: >-\n    x\n    y\n",
    );
    becomes("a:\n    - |\n      x\n    - y\n", "a:\n  - |\n    x\n  - y\n");
    becomes("a: \"x # y\"   # z\nb: don't\nc: 'it''s: {'\n", "a: \"x # y\"   # z\nb: don't\nc: 'it''s: {'\n");
    becomes(
        "a:\n    b: [1,\n        2, # two\n        {c: \"x\n          y\"}]\n    d: 1\n",
        "a:\n  b: [1,\n      2, # two\n      {c: \"x\n        y\"}]\n  d: 1\n",
    );
    becomes("a: http://x/#y\nb: x{y\n", "a: http://x/#y\nb: x{y\n");
    becomes("a: [x#y]\nb:\n    c: 1\n", "a: [x#y]\nb:\n  c: 1\n");
}

#[test]
fn comments_stay_with_what_they_are_about() {
    becomes(
        "a:\n    b: 1\n    # of the end of a\n# of c\nc:\n        # of d\n        d: 1\n",
        "a:\n  b: 1\n  # of the end of a\n# of c\nc:\n  # of d\n  d: 1\n",
    );
}

#[test]
fn what_is_no_yaml_is_refused() {
    assert!(matches!(format("a: [1"), Err(NotFormatted::NoYaml(_))));
    assert!(matches!(format("a: 1\n\tb: 2\n"), Err(NotFormatted::NoYaml(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written: it is refused, or it says the same and stays as it is.
    #[test]
    fn nothing_changes_but_the_layout(text in "([ab]|[a-c]: |: |\n {0,6}|\n|- |#|\\[|\\]|\\{|\\}|, |\"|'|\\||>|\\\\|x y|1){0,40}") {
        if let Ok(formatted) = format(&text) {
            prop_assert_eq!(read(&text), read(&formatted));
            prop_assert_eq!(format(&formatted), Ok(formatted.clone()));
            prop_assert!(marks(&text).eq(marks(&formatted)));
        }
    }

    /// What people write is formatted, however it was indented.
    #[test]
    fn any_indentation_comes_out_the_same(steps in prop::collection::vec(1_usize..7, 4), ends in prop::collection::vec(0_usize..3, 8)) {
        let ends: Vec<String> = ends.into_iter().map(|blanks| format!("{}\n", " ".repeat(blanks))).collect();
        let column = |depth: usize| " ".repeat(steps[..depth].iter().sum());
        let text = format!(
            "services:{}{}orders: # one{}{}settings:{}{}a: 1{}{}extensions:{}{}- x{}{}- y: 1{}{}  z: 2{}",
            ends[0], column(1), ends[1], column(2), ends[2], column(3), ends[3], column(2), ends[4],
            column(3), ends[5], column(3), ends[6], column(3), ends[7],
        );
        let expected = "services:\n  orders: # one\n    settings:\n      a: 1\n    extensions:\n      - x\n      - y: 1\n        z: 2\n";
        prop_assert_eq!(super::format(&text).unwrap(), expected);
    }
}
