//! Versions: numbers with dots between them.

/// Whether a version begins with a prefix, number by number: 1 is no prefix of 16, nor 16.4 one of 16.40.
pub fn satisfies(version: &str, prefix: &str) -> bool {
    let mut numbers = version.split('.');
    prefix.split('.').all(|number| numbers.next() == Some(number))
}

/// The numbers of a version, for comparing; what is no number counts as 0.
pub fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|number| number.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_numbers() {
        for (version, prefix, expected) in [
            ("16.4", "16", true),
            ("16.4", "16.4", true),
            ("16.40", "16.4", false),
            ("16.4", "1", false),
            ("16", "16.4", false),
        ] {
            assert_eq!(satisfies(version, prefix), expected, "{version} {prefix}");
        }
        assert!(numbers("16.10") > numbers("16.9"));
    }
}
