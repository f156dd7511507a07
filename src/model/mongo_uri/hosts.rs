//! Hosts, and the database behind them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{BadUri, DEFAULT_PORT, Host, Seeds};
use crate::model::percent::decode;

/// No name in DNS is longer.
const LONGEST_NAME: usize = 253;
/// No database may have these in its name.
/// <https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions>
const NOT_IN_DATABASES: &str = "/\\. \"*<>:|?";
const LONGEST_DATABASE: usize = 63;

/// `shown`: a login stands before them, so that nothing here can be a part of one.
pub(super) fn parse(list: &str, srv: bool, shown: bool) -> Result<Seeds, BadUri> {
    if list.is_empty() {
        return Err(
            BadUri::new("it names no host").hint("such as mongodb://user:password@host-1,host-2/admin")
        );
    }
    if srv {
        return self::srv(list, shown).map(Seeds::Srv);
    }
    let mut hosts = Vec::new();
    for (index, text) in list.split(',').enumerate() {
        let host = host(text).map_err(|wrong| {
            let named = if shown && !text.is_empty() { format!(" (`{text}`)") } else { String::new() };
            let bad = BadUri::new(format!("host {}{named} {}", index + 1, wrong.what()));
            match wrong.mend() {
                Some(hint) => bad.hint(hint),
                None => bad,
            }
        })?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(Seeds::Hosts(hosts))
}

/// The name that DNS is asked for.
fn srv(name: &str, shown: bool) -> Result<String, BadUri> {
    if name.contains(',') {
        return Err(BadUri::new("mongodb+srv:// takes exactly one host")
            .hint("begin with mongodb:// to list the members yourself"));
    }
    if name.contains(':') && !name.contains('[') {
        return Err(BadUri::new("mongodb+srv:// takes no port: DNS tells it")
            .hint("leave the port out, or begin with mongodb://"));
    }
    if !is_name(name) || name.parse::<Ipv4Addr>().is_ok() {
        let named = if shown { format!("`{name}`") } else { "what follows".to_owned() };
        return Err(BadUri::new(format!("mongodb+srv:// takes a name in DNS, which {named} is not"))
            .hint("begin with mongodb:// for addresses"));
    }
    Ok(name.to_ascii_lowercase())
}

enum Wrong {
    Empty,
    Socket,
    Name,
    Ipv6,
    Bare,
    Port,
}

impl Wrong {
    fn what(&self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::Socket => "is a socket of one machine",
            Self::Name => "is no name of a host",
            Self::Ipv6 => "is no IPv6 address",
            Self::Bare => "is an IPv6 address without brackets, or has more than one port",
            Self::Port => "has a port that is none",
        }
    }

    fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Empty => Some("a comma too many, perhaps"),
            Self::Socket => Some("name the members by host and port"),
            Self::Name => {
                Some("host names are letters, digits, `-` and `.`; a user is separated from them by `@`")
            }
            Self::Ipv6 => None,
            Self::Bare => Some("write it as [2001:db8::1]:27017"),
            Self::Port => {
                Some("a port is a number from 1 to 65535; a user is separated from the hosts by `@`")
            }
        }
    }
}

fn host(text: &str) -> Result<Host, Wrong> {
    if text.is_empty() {
        return Err(Wrong::Empty);
    }
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(Wrong::Ipv6)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Wrong::Ipv6)?;
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or(Wrong::Port)?),
        };
        (address.to_string(), port)
    } else {
        if text.matches(':').count() > 1 {
            return Err(Wrong::Bare);
        }
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        if name.contains('%') || name.to_ascii_lowercase().ends_with(".sock") {
            return Err(Wrong::Socket);
        }
        if !is_name(name) {
            return Err(Wrong::Name);
        }
        (name.to_ascii_lowercase(), port)
    };
    let port = match port {
        None => DEFAULT_PORT,
        // `parse` alone would take a plus sign.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().map_err(|_| Wrong::Port)?
        }
        Some(_) => return Err(Wrong::Port),
    };
    if port == 0 {
        return Err(Wrong::Port);
    }
    Ok(Host { name, port })
}

/// Underscores are in no host name by the book, but in many.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.len() <= LONGEST_NAME && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// The database, if there is one.
pub(super) fn database(text: &str) -> Result<Option<String>, BadUri> {
    if text.is_empty() {
        return Ok(None);
    }
    let fits =
        |name: &String| name.len() <= LONGEST_DATABASE && !name.contains(|c| NOT_IN_DATABASES.contains(c));
    match decode(text).ok().filter(fits) {
        Some(name) => Ok(Some(name)),
        None => Err(BadUri::new("what follows the hosts is no name of a database")
            .hint("behind the hosts stand / and a database, then ? and options")),
    }
}
