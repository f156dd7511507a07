//! Names and values in SQL. The only way from a text to a statement.

/// An identifier, always quoted: a reserved word, capitals or a quote in it change nothing.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant that reads the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// A grantee; `public` is everybody, for no role can have that name.
pub fn grantee(name: &str) -> String {
    if name == PUBLIC { "PUBLIC".into() } else { ident(name) }
}

/// The name under which catalogs and plans speak of everybody. Postgres reserves it (`CREATE ROLE`, notes).
pub const PUBLIC: &str = "public";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts() {
        assert_eq!(ident("a\"; DROP ROLE b; --"), "\"a\"\"; DROP ROLE b; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\' OR 1"), "E'a\\\\'' OR 1'");
        assert_eq!((grantee("public"), grantee("PUBLIC")), ("PUBLIC".into(), "\"PUBLIC\"".into()));
    }
}
