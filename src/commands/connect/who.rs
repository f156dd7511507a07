//! Who sits at this machine.

use std::collections::BTreeSet;

use super::super::{
    Stop,
    access::unknown,
    session::{Session, of_aws},
};
use crate::{
    compose::{self, Caller},
    model::environment::Platform,
    providers::aws::OwnIdentity,
    ui::Failure,
};

/// A person of the YAML.
pub(super) struct Who {
    pub(super) person: String,
    /// Only on AWS.
    pub(super) identity: Option<OwnIdentity>,
    /// The credentials are those of the person's own role already.
    pub(super) in_role: bool,
}

impl Who {
    pub(super) async fn find(session: &Session, named: Option<&str>) -> Result<Self, Stop> {
        let people = &session.environment.people;
        let names: BTreeSet<&str> = people.keys().map(String::as_str).collect();
        if let Some(named) = named.filter(|named| !names.contains(named)) {
            return Err(unknown("there is no person", named, &names));
        }
        let Some(settings) = session.settings()? else {
            let here = super::super::session::login();
            let person =
                named.map(str::to_owned).or_else(|| here.filter(|name| names.contains(name.as_str())));
            let person = person.ok_or_else(|| nobody("whoever is logged in here", session))?;
            return Ok(Self { person, identity: None, in_role: false });
        };
        let identity = OwnIdentity::of(&settings).await.map_err(|error| of_aws(&error))?;
        let found = compose::callers(&session.name, &session.environment, &identity.arn);
        let caller = match named {
            Some(named) => {
                let in_role = found.iter().any(|caller| caller.person == named && caller.in_role);
                Caller { person: named.into(), in_role }
            }
            None => match &found[..] {
                [one] => one.clone(),
                [] => return Err(nobody(&identity.arn, session)),
                several => {
                    let names: Vec<&str> = several.iter().map(|caller| caller.person.as_str()).collect();
                    let told = format!("{} may be {}", identity.arn, names.join(" or "));
                    return Err(Failure::new(told).hint("say which: --as NAME").into());
                }
            },
        };
        Ok(Self { person: caller.person, identity: Some(identity), in_role: caller.in_role })
    }
}

fn nobody(who: &str, session: &Session) -> Stop {
    let people: Vec<&str> = session.environment.people.keys().map(String::as_str).collect();
    let mend = match session.environment.platform {
        Platform::Local(_) => format!("say who you are: --as NAME; there are: {}", people.join(", ")),
        Platform::Aws(_) => {
            "a person has a `principal`, or an `sso` session name under `sso_role`; log in to AWS as one \
            (AWS_PROFILE), or say who you are with --as NAME"
                .into()
        }
    };
    Failure::new(format!("{who} is nobody of `people:` in {}", session.name)).hint(mend).into()
}
