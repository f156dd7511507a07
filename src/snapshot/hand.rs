//! What a person has to type when nothing else helps.

use std::fmt::Write as _;

use crate::{
    model::{mongo_uri::Mechanism, percent},
    providers::mongo::Access,
};

/// The command that unlocks a member. Without the password, for which `mongosh` asks.
pub(super) fn by_hand(access: &Access, member: &str) -> String {
    let uri = access.uri();
    let mut options = String::from("directConnection=true");
    let mut login = String::new();
    if let Some(user) = &uri.user {
        login = format!("{}@", encoded(user));
        let _ = write!(options, "&authSource={}", encoded(&uri.auth_source));
    }
    if uri.mechanism == Some(Mechanism::X509) {
        options.push_str("&authMechanism=MONGODB-X509");
    }
    if let Some(tls) = &uri.tls {
        options.push_str("&tls=true");
        for (key, file) in [("tlsCAFile", &tls.ca_file), ("tlsCertificateKeyFile", &tls.certificate_key_file)]
        {
            if let Some(file) = file {
                let _ = write!(options, "&{key}={}", encoded(&file.display().to_string()));
            }
        }
        if tls.allow_invalid_certificates {
            options.push_str("&tlsAllowInvalidCertificates=true");
        }
    }
    format!("mongosh 'mongodb://{login}{member}/?{options}' --eval 'db.fsyncUnlock()'")
}

/// Neither a shell nor a connection string reads anything into it.
fn encoded(text: &str) -> String {
    percent::encode_all_but(b"/", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mongo_uri::MongoUri;

    #[test]
    fn it_can_be_typed_and_has_no_password() {
        let uri = MongoUri::parse("mongodb://admin:canary-7f3a@a:1,b:2/shop?tls=true&tlsCAFile=/etc/c'a.pem");
        let access = Access::new(uri.unwrap().uri, "infra");
        assert_eq!(
            by_hand(&access, "b:2"),
            "mongosh 'mongodb://admin@b:2/?directConnection=true&authSource=shop&tls=true\
             &tlsCAFile=/etc/c%27a.pem' --eval 'db.fsyncUnlock()'"
        );
    }
}
