//! As much of LDAP v3 (RFC 4511) as a Postgres with `ldapprefix` speaks: bind and unbind, in BER.

use std::io::{self, Read, Write};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SIMPLE: u8 = 0x80;

const SUCCESS: u8 = 0;
const INVALID_CREDENTIALS: u8 = 49;

/// Far above the longest token.
const LONGEST: usize = 1 << 20;

pub(super) struct Bind {
    /// Of the message, to be repeated in the answer; as it came.
    pub(super) message: Vec<u8>,
    pub(super) name: String,
    pub(super) password: String,
}

/// The next bind request; none when the client unbinds or hangs up.
pub(super) fn next_bind(from: &mut impl Read) -> io::Result<Option<Bind>> {
    let mut tag = [0];
    if from.read(&mut tag)? == 0 {
        return Ok(None);
    }
    let length = read_length(from)?;
    if tag[0] != SEQUENCE || length > LONGEST {
        return Err(malformed("no LDAP message"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let mut rest = body.as_slice();
    let message = expect(&mut rest, INTEGER)?.to_vec();
    let (operation, content) = element(&mut rest)?;
    if operation == UNBIND_REQUEST {
        return Ok(None);
    }
    if operation != BIND_REQUEST {
        return Err(malformed("an operation other than bind and unbind"));
    }
    let mut rest = content;
    if expect(&mut rest, INTEGER)? != [3] {
        return Err(malformed("a version of LDAP other than 3"));
    }
    let name = text(expect(&mut rest, OCTETS)?)?;
    let password = text(expect(&mut rest, SIMPLE)?)?;
    Ok(Some(Bind { message, name, password }))
}

/// Success, or why not.
pub(super) fn answer(to: &mut impl Write, message: &[u8], refusal: Option<&str>) -> io::Result<()> {
    let code = if refusal.is_some() { INVALID_CREDENTIALS } else { SUCCESS };
    let result = [
        encoded(ENUMERATED, &[code]),
        encoded(OCTETS, b""),
        encoded(OCTETS, refusal.unwrap_or_default().as_bytes()),
    ];
    let whole = [encoded(INTEGER, message), encoded(BIND_RESPONSE, &result.concat())].concat();
    to.write_all(&encoded(SEQUENCE, &whole))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed("no UTF-8"))
}

/// A length of up to three bytes.
fn read_length(from: &mut impl Read) -> io::Result<usize> {
    let mut first = [0];
    from.read_exact(&mut first)?;
    if first[0] < 0x80 {
        return Ok(first[0].into());
    }
    let mut bytes = vec![0; usize::from(first[0] & 0x7f)];
    if !(1..=4).contains(&bytes.len()) {
        return Err(malformed("a length without measure"));
    }
    from.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

/// Takes the next element off: its tag and content.
fn element<'a>(rest: &mut &'a [u8]) -> io::Result<(u8, &'a [u8])> {
    let mut tag = [0];
    rest.read_exact(&mut tag)?;
    let length = read_length(rest)?;
    let content = rest.get(..length).ok_or_else(|| malformed("cut off"))?;
    *rest = &rest[length..];
    Ok((tag[0], content))
}

fn expect<'a>(rest: &mut &'a [u8], tag: u8) -> io::Result<&'a [u8]> {
    let (found, content) = element(rest)?;
    if found == tag { Ok(content) } else { Err(malformed("another element than expected")) }
}

fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..=0x7f => bytes.push(u8::try_from(length).unwrap()),
        length => {
            bytes.push(0x84);
            bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}
