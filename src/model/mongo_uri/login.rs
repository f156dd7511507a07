//! User, password, and how they are proved. No message here holds a part of either.

use super::{BadUri, EXTERNAL, Mechanism, Tls, options::Options};
use crate::model::{
    percent::{Undecodable, decode},
    secret::Secret,
};

pub(super) const HOW_TO_ENCODE: &str = "in a user or password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F, % as %25, and a space as %20";

/// What the pages of hosting companies put in the password's place, and what we do.
const PLACEHOLDERS: [&str; 5] = ["<password>", "<db_password>", "<PASSWORD>", "***", "(sensitive value)"];

pub(super) struct Login {
    user: String,
    password: Option<Secret<String>>,
}

pub(super) struct Auth {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret<String>>,
    pub(super) source: String,
}

/// What stands before the last `@`.
pub(super) fn parse(text: &str) -> Result<Login, BadUri> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, rest)| (user, Some(rest)));
    let special = |part: &str| part.contains(['@', ':', '#', '/', '?']);
    if special(user) || password.is_some_and(special) {
        return Err(BadUri::new("the user or the password has a character that must be percent-encoded")
            .hint(HOW_TO_ENCODE));
    }
    if user.is_empty() {
        return Err(BadUri::new("there is no user before the `@`")
            .hint("write user:password@, or leave out the `@` to connect as nobody"));
    }
    let decoded = |part: &str, what: &str| {
        decode(part).map_err(|error| match error {
            Undecodable::Percent => {
                BadUri::new(format!("{what} has a `%` that is not followed by two hexadecimal digits"))
                    .hint(HOW_TO_ENCODE)
            }
            Undecodable::Utf8 => {
                BadUri::new(format!("{what} is not UTF-8 once its percent-encoding is undone"))
                    .hint("encode each byte of its UTF-8 form")
            }
        })
    };
    let password = password.map(|password| decoded(password, "the password")).transpose()?;
    if password.as_ref().is_some_and(|password| PLACEHOLDERS.contains(&password.as_str())) {
        return Err(
            BadUri::new("in the password's place stands a placeholder").hint("write the password itself")
        );
    }
    Ok(Login { user: decoded(user, "the user")?, password: password.map(Secret::new) })
}

/// Login, mechanism, database and TLS must fit each other.
pub(super) fn settle(
    login: Option<Login>,
    options: &Options,
    database: Option<String>,
    tls: Option<&Tls>,
    warnings: &mut Vec<String>,
) -> Result<Auth, BadUri> {
    let (user, password) = login.map_or((None, None), |login| (Some(login.user), login.password));
    if options.mechanism == Some(Mechanism::X509) {
        if options.auth_source.as_deref().is_some_and(|source| source != EXTERNAL) {
            return Err(BadUri::new("with MONGODB-X509 authSource is $external").hint("leave authSource out"));
        }
        if tls.is_none_or(|tls| tls.certificate_key_file.is_none()) {
            return Err(BadUri::new("MONGODB-X509 needs a certificate").hint(
                "add tls=true&tlsCertificateKeyFile=, with a file that has the certificate and its key",
            ));
        }
        if password.is_some() {
            warnings.push("the password is not used: MONGODB-X509 proves who we are by a certificate".into());
        }
        return Ok(Auth { user, password: None, source: EXTERNAL.into() });
    }
    let source = options.auth_source.clone().or(database).unwrap_or_else(|| "admin".into());
    if source == EXTERNAL {
        return Err(BadUri::new("authSource=$external is for certificates")
            .hint("add authMechanism=MONGODB-X509, or name the database that knows the user"));
    }
    match (&user, &password) {
        (Some(_), None) => {
            return Err(BadUri::new("there is a user, but no password").hint("write user:password@"));
        }
        (Some(_), Some(password)) if password.reveal().is_empty() => {
            return Err(BadUri::new("the password is empty").hint("write user:password@"));
        }
        (None, _) if options.mechanism.is_some() => {
            return Err(BadUri::new("there is an authMechanism, but no user").hint("write user:password@"));
        }
        _ => {}
    }
    Ok(Auth { user, password, source })
}
