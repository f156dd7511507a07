//! An IAM token of RDS: a presigned request to `rds-db` without its scheme. Written from the definition of Signature
//! Version 4, and sharing nothing with what makes tokens in infra.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

/// A token lives for this long at most, whatever it says.
const LIFE: Duration = Duration::from_mins(15);

/// Why a login was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A password, or something else that is no token.
    NoToken,
    Malformed(String),
    UnknownKey,
    SessionToken,
    Signature,
    Expired,
    NotYetValid,
    /// It would live for more than 15 minutes.
    TooLong,
    Host(String),
    Region(String),
    /// It is for somebody else.
    User(String),
    Policy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

pub(super) struct Token {
    pub(super) access_key: String,
    /// The session token of temporary credentials.
    pub(super) session: Option<String>,
    pub(super) signature: String,
    pub(super) host: String,
    pub(super) region: String,
    pub(super) user: String,
    date: String,
    expires: Duration,
    /// Decoded, without the signature, in the order in which they are signed.
    query: BTreeMap<String, String>,
}

pub(super) fn parse(text: &str) -> Result<Token, Refusal> {
    let (host, query) = text.split_once("/?").ok_or(Refusal::NoToken)?;
    if !query.contains("X-Amz-Signature=") {
        return Err(Refusal::NoToken);
    }
    let mut pairs = BTreeMap::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').ok_or_else(|| malformed("a parameter without value"))?;
        if pairs.insert(decoded(name)?, decoded(value)?).is_some() {
            return Err(malformed("a parameter twice"));
        }
    }
    let signature = pairs.remove("X-Amz-Signature").unwrap_or_default();
    let get = |name: &str| pairs.get(name).cloned().ok_or_else(|| malformed(name));
    for (name, value) in
        [("Action", "connect"), ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-SignedHeaders", "host")]
    {
        if get(name)? != value {
            return Err(malformed(name));
        }
    }
    let credential = get("X-Amz-Credential")?;
    let [access_key, day, region, service, end] = credential.split('/').collect::<Vec<_>>()[..] else {
        return Err(malformed("X-Amz-Credential"));
    };
    let date = get("X-Amz-Date")?;
    if service != "rds-db" || end != "aws4_request" || !date.starts_with(day) {
        return Err(malformed("X-Amz-Credential"));
    }
    let expires = get("X-Amz-Expires")?.parse().map_err(|_| malformed("X-Amz-Expires"))?;
    Ok(Token {
        access_key: access_key.into(),
        session: pairs.get("X-Amz-Security-Token").cloned(),
        signature,
        host: host.into(),
        region: region.into(),
        user: get("DBUser")?,
        date,
        expires: Duration::from_secs(expires),
        query: pairs,
    })
}

impl Token {
    /// What its signature must be.
    pub(super) fn sign(&self, secret: &str) -> String {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let nothing = hex(&Sha256::digest(b""));
        let request = format!("GET\n/\n{}\nhost:{}\n\nhost\n{nothing}", query.join("&"), self.host);
        let day = &self.date[..8];
        let scope = format!("{day}/{}/rds-db/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.date, hex(&Sha256::digest(request)));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [day, &self.region, "rds-db", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, text.as_bytes()))
    }

    pub(super) fn check_time(&self, now: SystemTime) -> Result<(), Refusal> {
        if self.expires > LIFE {
            return Err(Refusal::TooLong);
        }
        let start = moment(&self.date).ok_or_else(|| malformed("X-Amz-Date"))?;
        if now > start + self.expires {
            return Err(Refusal::Expired);
        }
        // Clocks differ.
        if start > now + Duration::from_mins(5) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(what.into())
}

/// `20261124T153000Z`.
fn moment(text: &str) -> Option<SystemTime> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let seconds = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?.as_second();
    Some(UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?))
}

/// RFC 3986: a `+` is a plus.
fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
            let digits = std::str::from_utf8(&digits).map_err(|_| malformed(text))?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed(text))?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed(text))
}

fn encoded(text: &str) -> String {
    let mut result = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            result.push(byte.into());
        } else {
            write!(result, "%{byte:02X}").unwrap();
        }
    }
    result
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8, message: &[u8]| {
        let mut whole: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        whole.extend(message);
        Sha256::digest(whole).to_vec()
    };
    padded(0x5c, &padded(0x36, message))
}
