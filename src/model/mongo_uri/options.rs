//! Options: few matter to somebody who dials each member by itself.

use std::{collections::BTreeMap, path::PathBuf};

use super::{BadUri, Mechanism, Tls};
use crate::model::percent::decode;

/// What makes no difference here, and stands in so many connection strings that a warning would only teach people to
/// overlook warnings.
const QUIET: [&str; 15] = [
    "appname",
    "connecttimeoutms",
    "directconnection",
    "journal",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "readpreference",
    "readpreferencetags",
    "retryreads",
    "retrywrites",
    "serverselectiontimeoutms",
    "srvmaxhosts",
    "w",
    "wtimeoutms",
];

/// What is read, as it is written.
const READ: [&str; 12] = [
    "authSource",
    "authMechanism",
    "loadBalanced",
    "replicaSet",
    "srvServiceName",
    "ssl",
    "tls",
    "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "tlsInsecure",
];

/// Other drivers' names for what decides whom is trusted; nobody would want them overlooked.
const OTHER_NAMES: [(&str, &str); 15] = [
    ("sslcafile", "tlsCAFile"),
    ("sslcertificateauthorityfile", "tlsCAFile"),
    ("ssl_ca_certs", "tlsCAFile"),
    ("tlscertificateauthorityfile", "tlsCAFile"),
    ("sslcertificatekeyfile", "tlsCertificateKeyFile"),
    ("sslclientcertificatekeyfile", "tlsCertificateKeyFile"),
    ("sslpemkeyfile", "tlsCertificateKeyFile"),
    ("sslkeyfile", "tlsCertificateKeyFile"),
    ("sslcertfile", "tlsCertificateKeyFile"),
    ("ssl_certfile", "tlsCertificateKeyFile"),
    ("ssl_keyfile", "tlsCertificateKeyFile"),
    ("tlscertificatefile", "tlsCertificateKeyFile"),
    ("sslallowinvalidcertificates", "tlsAllowInvalidCertificates"),
    ("ssl_cert_reqs", "tlsAllowInvalidCertificates"),
    ("sslinsecure", "tlsInsecure"),
];

const KEY_PASSWORDS: [&str; 3] =
    ["tlscertificatekeyfilepassword", "sslclientcertificatekeypassword", "sslpemkeypassword"];

const OTHER_MECHANISMS: [&str; 5] = ["GSSAPI", "MONGODB-AWS", "MONGODB-CR", "MONGODB-OIDC", "PLAIN"];

/// More names than this make a warning unreadable.
const NAMED: usize = 8;

#[derive(Default)]
pub(super) struct Options {
    pub(super) auth_source: Option<String>,
    pub(super) mechanism: Option<Mechanism>,
    pub(super) replica_set: Option<String>,
    tls: Option<bool>,
    ca_file: Option<PathBuf>,
    certificate_key_file: Option<PathBuf>,
    insecure: Option<bool>,
    invalid_certificates: Option<bool>,
    invalid_hostnames: Option<bool>,
}

/// Reads what stands behind the question mark.
pub(super) fn parse(text: &str, warnings: &mut Vec<String>) -> Result<Options, BadUri> {
    let mut text = text.to_owned();
    if text.contains("&amp;") {
        text = text.replace("&amp;", "&");
        warnings.push("`&amp;` was read as `&`".into());
    }
    let mut given: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut dropped = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').map_or((pair, None), |(key, value)| (key, Some(value)));
        let low = key.to_ascii_lowercase();
        if let Some((_, right)) = OTHER_NAMES.iter().find(|(other, _)| *other == low) {
            return Err(
                BadUri::new(format!("the option {key} is not understood")).hint(format!("write {right}="))
            );
        }
        if KEY_PASSWORDS.contains(&low.as_str()) {
            return Err(BadUri::new("a key that is protected by a password cannot be used").hint(
                "point tlsCertificateKeyFile at a file whose key is not encrypted, readable by you alone",
            ));
        }
        let Some(name) = READ.into_iter().find(|name| name.eq_ignore_ascii_case(key)) else {
            if !QUIET.contains(&low.as_str()) {
                dropped.push(key.to_owned());
            }
            continue;
        };
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| {
            BadUri::new(format!("the option {name} has no value"))
                .hint(format!("write {name}=..., or leave it out"))
        })?;
        let value = decode(value).map_err(|_| {
            BadUri::new(format!("the value of {name} is not percent-encoded")).hint("write a % as %25")
        })?;
        if given.get(name).is_some_and(|earlier| *earlier != value) {
            return Err(BadUri::new(format!("the option {name} is there twice, with different values"))
                .hint("keep one of them"));
        }
        given.insert(name, value);
    }
    if let Some(names) = list(dropped) {
        warnings.push(format!("options without meaning here were left out: {names}"));
    }
    Options::of(given)
}

/// Names for a warning; what does not look like one is only counted.
fn list(keys: Vec<String>) -> Option<String> {
    if keys.is_empty() {
        return None;
    }
    let looks = |key: &String| {
        key.len() <= 40 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let count = keys.len();
    let mut names: Vec<String> = keys.into_iter().filter(looks).collect();
    names.sort_unstable();
    names.dedup();
    let others = count.saturating_sub(names.len().min(NAMED));
    names.truncate(NAMED);
    Some(match (names.is_empty(), others) {
        (true, others) => format!("{others} of them"),
        (false, 0) => names.join(", "),
        (false, others) => format!("{} and {others} more", names.join(", ")),
    })
}

impl Options {
    fn of(mut given: BTreeMap<&'static str, String>) -> Result<Self, BadUri> {
        let mut flag = |name: &str| match given.remove(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(BadUri::new(format!("the option {name} is neither true nor false"))),
        };
        if flag("loadBalanced")? == Some(true) {
            return Err(BadUri::new(
                "loadBalanced=true cannot be used: each member must be reached by itself",
            )
            .hint("write the connection string of the replica set behind the load balancer"));
        }
        let tls = match (flag("tls")?, flag("ssl")?) {
            (Some(a), Some(b)) if a != b => {
                return Err(BadUri::new("tls and ssl contradict each other").hint("keep tls"));
            }
            (a, b) => a.or(b),
        };
        let insecure = flag("tlsInsecure")?;
        let invalid_certificates = flag("tlsAllowInvalidCertificates")?;
        let invalid_hostnames = flag("tlsAllowInvalidHostnames")?;
        if given.remove("srvServiceName").is_some_and(|name| name != "mongodb") {
            return Err(
                BadUri::new("srvServiceName cannot be used").hint("list the members, behind mongodb://")
            );
        }
        let mechanism = given.remove("authMechanism").map(|name| mechanism(&name)).transpose()?.flatten();
        Ok(Self {
            auth_source: given.remove("authSource"),
            mechanism,
            replica_set: given.remove("replicaSet"),
            tls,
            ca_file: given.remove("tlsCAFile").map(PathBuf::from),
            certificate_key_file: given.remove("tlsCertificateKeyFile").map(PathBuf::from),
            insecure,
            invalid_certificates,
            invalid_hostnames,
        })
    }

    /// `srv`: encrypted unless it says otherwise.
    pub(super) fn tls(&self, srv: bool, warnings: &mut Vec<String>) -> Result<Option<Tls>, BadUri> {
        let implied = self.ca_file.is_some()
            || self.certificate_key_file.is_some()
            || [self.insecure, self.invalid_certificates, self.invalid_hostnames].contains(&Some(true));
        if self.tls == Some(false) && implied {
            return Err(BadUri::new("there are options for TLS, but TLS is switched off")
                .hint("write tls=true, or leave the other tls options out"));
        }
        if !self.tls.unwrap_or(srv || implied) {
            return Ok(None);
        }
        let unchecked = [self.insecure, self.invalid_certificates].contains(&Some(true));
        if unchecked {
            warnings
                .push("certificates are not checked: whoever sits in between can read the password".into());
        } else if self.invalid_hostnames == Some(true) {
            warnings
                .push("tlsAllowInvalidHostnames was left out: the names in certificates are checked".into());
        }
        Ok(Some(Tls {
            ca_file: self.ca_file.clone(),
            certificate_key_file: self.certificate_key_file.clone(),
            allow_invalid_certificates: unchecked,
        }))
    }
}

fn mechanism(name: &str) -> Result<Option<Mechanism>, BadUri> {
    let ours = [Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::X509];
    if name.eq_ignore_ascii_case("DEFAULT") {
        return Ok(None);
    }
    if let Some(mechanism) = ours.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name)) {
        return Ok(Some(mechanism));
    }
    let known = OTHER_MECHANISMS.into_iter().find(|other| other.eq_ignore_ascii_case(name));
    let message = match known {
        Some(known) => format!("authMechanism={known} cannot be used"),
        None => "there is no such authMechanism".to_owned(),
    };
    Err(BadUri::new(message).hint("write SCRAM-SHA-256, SCRAM-SHA-1 or MONGODB-X509, or leave it out"))
}
