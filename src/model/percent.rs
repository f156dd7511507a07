//! Percent-encoding.

use std::fmt::Write as _;

/// A text that is not percent-encoded, or that is no UTF-8 when it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    Percent,
    Utf8,
}

/// What `encode` has made, and what others have.
pub fn decode(text: &str) -> Result<String, Undecodable> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(Undecodable::Percent) };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| Undecodable::Utf8)
}

/// All but what is never special in a URL.
pub fn encode(text: &str) -> String {
    encode_all_but(b"", text)
}

/// As `encode`, but these characters stay too, where they have no meaning.
pub fn encode_all_but(plain: &[u8], text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["", "a-b._~", "100 % /:@\u{e9}\n", "%41"] {
            assert_eq!(decode(&encode(text)).as_deref(), Ok(text));
            assert_eq!(decode(&encode_all_but(b"/:", text)).as_deref(), Ok(text));
        }
        assert_eq!(encode("a/b:%"), "a%2Fb%3A%25");
        assert_eq!(encode_all_but(b"/:", "a/b:%"), "a/b:%25");
        assert_eq!(decode("%"), Err(Undecodable::Percent));
        assert_eq!(decode("%g0"), Err(Undecodable::Percent));
        assert_eq!(decode("%ff"), Err(Undecodable::Utf8));
    }
}
