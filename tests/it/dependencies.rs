//! What must not come into the tree: a second TLS, or a library that is larger than all others together.

use std::{fs, path::Path};

fn packages() -> Vec<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = fs::read_to_string(lock).unwrap();
    let names =
        text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"').map(Into::into));
    names.collect()
}

#[test]
fn one_tls_and_no_ec2() {
    let packages = packages();
    assert!(packages.len() > 100 && packages.contains(&"ring".into()) && packages.contains(&"rustls".into()));
    let unwanted = ["aws-lc-rs", "aws-lc-sys", "aws-sdk-ec2", "native-tls", "openssl", "openssl-sys"];
    let found: Vec<&String> = packages.iter().filter(|name| unwanted.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(packages.iter().filter(|name| *name == "rustls").count(), 1, "two versions of rustls");
}
