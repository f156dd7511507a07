//! `infra connect`: a service's database, or a replica set, as the person one is.
//!
//! Who it is and whether his groups let him in is settled first, by what AWS says of the credentials and by the YAML; until
//! then nothing is connected to. The token goes to the command in its environment, which nobody but its own user can
//! read, never on a command line, and into no file.

mod child;
mod mongo;
mod postgres;
mod who;

use super::{
    Exit, Stop,
    session::{Session, of_aws},
};
use crate::{
    cli::{self, Global},
    compose::{self, Admission},
    model::secret::Secret,
    providers::aws::OwnRole,
    resources::iam_role::Holder,
    ui::{Failure, Terminal},
};
use who::Who;

/// What a connection is made for, whatever it leads to.
struct Connecting<'a> {
    global: &'a Global,
    session: &'a Session,
    arguments: &'a cli::Connect,
    terminal: &'a Terminal,
    who: Who,
}

pub(super) async fn run(
    global: &Global,
    arguments: &cli::Connect,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    match (&arguments.service, &arguments.mongo) {
        (Some(service), None) => {
            let service = super::output::known(&session, service)?;
            let who = Who::find(&session, arguments.person.as_deref()).await?;
            let connecting = Connecting { global, session: &session, arguments, terminal, who };
            connecting.postgres(service).await
        }
        (None, Some(set)) => {
            let set = mongo::known(&session, set)?;
            let who = Who::find(&session, arguments.person.as_deref()).await?;
            let connecting = Connecting { global, session: &session, arguments, terminal, who };
            connecting.mongo(set).await
        }
        _ => Err(Failure::new("name a service, or a replica set with --mongo").into()),
    }
}

impl Connecting<'_> {
    /// What his groups say, or an error that tells which would let him in.
    fn admitted(&self, services: &[&str], target: &str) -> Result<Admission, Stop> {
        let person = &self.who.person;
        let admission = compose::admission(&self.session.environment, person, services);
        if admission.lets_in() {
            return Ok(admission);
        }
        let failure = Failure::new(admission.refusal(person, target)).hint(admission.mend(person));
        Err(failure.hint("nothing was connected to").into())
    }

    /// The person's own role of IAM, on AWS.
    async fn role(&self) -> Result<Option<OwnRole>, Stop> {
        let Some(identity) = &self.who.identity else { return Ok(None) };
        if self.who.in_role {
            return Ok(Some(identity.in_role()));
        }
        let person = &self.who.person;
        let arn = compose::role_arn(&self.session.name, &self.session.environment, Holder::Person(person));
        let arn = arn.unwrap_or_default();
        let role = identity.assume(&arn).await.map_err(|error| {
            let Stop { exit, mut failures } = of_aws(&error);
            let hint = format!(
                "{} may become {arn} only as its trust policy says, which has what `people: {person}` has; infra apply \
                 makes the role",
                identity.arn
            );
            failures = failures.into_iter().map(|failure| failure.hint(&hint)).collect();
            Stop { exit, failures }
        });
        role.map(Some)
    }

    /// Prints a URL, the secret in it masked out unless it was asked for.
    fn print(&self, plain: &str, with_secret: Option<&Secret<String>>) -> Result<Exit, Stop> {
        let url = with_secret.map_or(plain, |secret| secret.reveal().as_str());
        self.terminal.out(&format!("{url}\n"))?;
        Ok(Exit::Done)
    }

    fn tell(&self, text: &str) {
        if !self.global.quiet && self.arguments.command.is_empty() {
            self.terminal.err(&format!("{text}\n"));
        }
    }
}
