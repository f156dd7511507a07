//! Lengths of time in flags.

use std::time;

use crate::model::duration::Duration;

/// A length of time as the YAML has it, or in milliseconds, which matter while a member is locked.
pub(super) fn span(text: &str) -> Result<time::Duration, String> {
    let digits = text.strip_suffix("ms").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let milliseconds = digits.and_then(|digits| digits.parse().ok()).map(time::Duration::from_millis);
    milliseconds
        .map_or_else(|| text.parse::<Duration>().map(Into::into).map_err(|error| error.to_string()), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, milliseconds) in [("500ms", 500), ("0ms", 0), ("2s", 2_000), ("1m", 60_000)] {
            assert_eq!(span(text), Ok(time::Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "ms", "-1ms", "1.5ms", "5", "99999999999999999999ms"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
