//! To a replica set.

use std::collections::BTreeSet;

use super::{
    super::{
        Exit, Stop,
        access::unknown,
        platform,
        session::{Session, of_aws},
    },
    Connecting,
    child::Child,
};
use crate::{
    compose,
    model::{
        mark::Subject,
        mongo_uri::{Mechanism, MongoUri},
        secret::Secret,
    },
    providers::mongo::catalog::EXTERNAL,
    resources::mongo::user::MongoUser,
    ui::Failure,
};

/// What a command finds its connection string in.
const VARIABLE: &str = "MONGODB_URI";
/// Takes it from there: on a command line all could read the password.
const SHELL: [&str; 5] = ["mongosh", "--nodb", "--shell", "--eval", "db = connect(process.env.MONGODB_URI)"];

/// A declared replica set, or an error that names the one that was meant.
pub(super) fn known<'a>(session: &'a Session, name: &str) -> Result<&'a str, Stop> {
    let sets = &session.environment.mongo_clusters;
    match sets.get_key_value(name) {
        Some((name, _)) => Ok(name),
        None => Err(unknown(
            "there is no replica set",
            name,
            &sets.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        )),
    }
}

impl Connecting<'_> {
    pub(super) async fn mongo(&self, set: &str) -> Result<Exit, Stop> {
        let environment = &self.session.environment;
        let here = environment.services.iter().filter(|(_, service)| service.mongo.as_deref() == Some(set));
        let services: Vec<&str> = here.map(|(name, _)| name.as_str()).collect();
        let admission = self.admitted(&services, set)?;
        let user = self.user(set)?;
        let mut uri = match environment.mongo_clusters.get(set) {
            Some(declared) => platform::mongo_uri(set, declared, &self.session.folder())?,
            None => return Err(Failure::new(format!("there is no replica set `{set}`")).into()),
        };
        uri.auth_source.clone_from(&user.database);
        uri.user = Some(user.name.clone());
        uri.password = None;
        if user.database == EXTERNAL {
            self.by_certificate(&mut uri, &user)?;
        } else {
            uri.mechanism = Some(Mechanism::ScramSha256);
            if !self.arguments.print || self.arguments.with_token {
                uri.password = self.password(&user).await?;
            }
        }
        let with_secret = uri.revealed();
        if self.arguments.print {
            let plain = MongoUri { password: None, ..uri.clone() };
            return self.print(&plain.to_string(), uri.password.as_ref().map(|_| &with_secret));
        }
        self.tell(&format!("Connecting to {set} as {}, by {}.", user.name, admission.by.join(", ")));
        let child = Child { default: &SHELL, get: "install mongosh", cleared: &[] };
        child.run(&self.arguments.command, vec![(VARIABLE, with_secret.reveal().clone())]).await
    }

    /// His user, as the YAML makes it.
    fn user(&self, set: &str) -> Result<MongoUser, Stop> {
        let person = &self.who.person;
        let desired = compose::compose(&self.session.name, &self.session.environment);
        let user = desired.resources.get(&MongoUser::address(set, &Subject::Person(person.clone()))).cloned();
        user.and_then(|any| MongoUser::try_from(any).ok()).ok_or_else(|| {
            Failure::new(format!("{person} has no user on `{set}`: infra makes none there"))
                .hint(format!(
                    "on this machine's own platform users are made only where mongo_clusters.{set}.authentication says \
                     how they prove who they are"
                ))
                .into()
        })
    }

    /// Certificates are given out by somebody else; only the file can be said.
    fn by_certificate(&self, uri: &mut MongoUri, user: &MongoUser) -> Result<(), Stop> {
        uri.mechanism = Some(Mechanism::X509);
        let tls = uri.tls.get_or_insert_default();
        // What stands in the connection string is infra's own.
        tls.certificate_key_file = None;
        match &self.arguments.certificate_key_file {
            Some(file) => tls.certificate_key_file = Some(std::path::absolute(file)?),
            None if self.arguments.print => {}
            None => {
                return Err(Failure::new(format!(
                    "this replica set knows you by a certificate for {}",
                    user.name
                ))
                .hint("name the file with it and its key (PEM): --certificate-key-file FILE")
                .into());
            }
        }
        Ok(())
    }

    /// Out of his own secret, which nobody but his own role may read.
    async fn password(&self, user: &MongoUser) -> Result<Option<Secret<String>>, Stop> {
        let (Some(role), Some(name)) = (self.role().await?, &user.secret.0) else { return Ok(None) };
        let password = role.password(name).await.map_err(|error| of_aws(&error))?;
        Ok(Some(password))
    }
}
