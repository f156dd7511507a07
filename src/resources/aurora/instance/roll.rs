//! Several instances of one cluster at once: what disturbs nobody side by side; restarts one after the other, the readers
//! first, then another writer, then the one that was it.

use futures::future::join_all;

use super::{AuroraInstance, differences, name};
use crate::{
    engine::{Action, Context, Error, Outputs, Written},
    model::{Address, environment::ApplyWhen},
    providers::{
        ReadWrite,
        aws::{Aws, AwsError, InstanceField, LIMIT},
    },
    resources::{Handle, aurora::is_busy},
};

/// When a step's turn comes: the first instance of all, for it becomes the writer; what does not wait for others; and
/// from 2 on one after the other, what is the writer now last.
fn turn(action: &Action<AuroraInstance>) -> u8 {
    match action {
        Action::Create { new } if new.is_first() => 0,
        Action::Update { old, new } if new.restarts(old) => 2 + u8::from(old.facts.writer),
        Action::Replace { old, .. } => 2 + u8::from(old.facts.writer),
        // Each other one would make a new writer of another that goes too.
        Action::Delete { old } if old.facts.writer => 4,
        _ => 1,
    }
}

/// Carries out steps on instances of one cluster; answers in the order of the steps.
pub(in crate::resources) async fn instances(
    aws: &Aws<ReadWrite>,
    steps: &[(&Address, Action<AuroraInstance>)],
    context: &Context<'_>,
) -> Vec<Written> {
    let run = async |at: usize| {
        let (address, action) = &steps[at];
        let progress = |message: &str| context.progress(address, message);
        match one(aws, action, &progress).await {
            Ok(outputs) => Written::Done(outputs),
            Err(error) => Written::Failed(error),
        }
    };
    let mut order: Vec<(u8, usize)> =
        steps.iter().enumerate().map(|(at, (_, action))| (turn(action), at)).collect();
    order.sort_unstable();
    let (together, one_by_one): (Vec<_>, Vec<_>) = order.into_iter().partition(|(turn, _)| *turn < 2);
    let mut written: Vec<(usize, Written)> = Vec::new();
    for turn in 0..2 {
        // Without the first, the next to be made would become the writer in its place.
        let no_writer = written.iter().any(|(_, written)| matches!(written, Written::Failed(_)));
        let these = together.iter().filter(|(of, _)| *of == turn).map(async |(_, at)| {
            let waits = no_writer && matches!(steps[*at].1, Action::Create { .. });
            (*at, if waits { Written::RolledBack } else { run(*at).await })
        });
        written.extend(join_all(these).await);
    }
    for (_, at) in one_by_one {
        // A restart that failed is no reason to try the next one; and the engine is not to try it either.
        let failed = written.iter().find(|(_, written)| matches!(written, Written::Failed(_)));
        let ended = match failed {
            Some((other, _)) => Written::Failed(left_alone(&steps[at].1, &steps[*other].1)),
            None => run(at).await,
        };
        written.push((at, ended));
    }
    written.sort_by_key(|(at, _)| *at);
    written.into_iter().map(|(_, written)| written).collect()
}

fn left_alone(this: &Action<AuroraInstance>, other: &Action<AuroraInstance>) -> Error {
    let name = |action: &Action<AuroraInstance>| {
        let instance = action.wanted().or(action.existing());
        format!("instance {}", instance.map_or("", |instance| &instance.spec.identifier))
    };
    let why = format!("left alone, because {} could not be changed", name(other));
    Box::new(AwsError::Unfit { what: name(this), why })
}

async fn one(
    aws: &Aws<ReadWrite>,
    action: &Action<AuroraInstance>,
    progress: &dyn Fn(&str),
) -> Result<Outputs, Error> {
    match action {
        Action::Create { new } => Handle::create(aws, new, progress).await,
        Action::Update { old, new } => Handle::update(aws, old, new, progress).await,
        Action::Replace { old, new, .. } => {
            Handle::delete(aws, old, progress).await?;
            Handle::create(aws, new, progress).await
        }
        Action::Delete { old } => Handle::delete(aws, old, progress).await.map(|()| Outputs::new()),
        Action::Keep | Action::Hold { .. } => Ok(Outputs::new()),
    }
}

impl Aws<ReadWrite> {
    /// Makes another instance the writer, if this one is and there is another.
    pub(super) async fn hand_over(
        &self,
        cluster: &str,
        from: &str,
        progress: &dyn Fn(&str),
    ) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            // Looked at anew each time: what was under way may have been this very change, begun by a run that was killed.
            let fleet = self.fleet().await?;
            let Some(found) = fleet.cluster(cluster) else { return Ok(()) };
            if !found.members.iter().any(|member| member.writer && member.instance == from) {
                return Ok(());
            }
            let mut others: Vec<_> = (fleet.members(cluster))
                .filter(|other| other.spec.identifier != from && other.status == "available")
                .map(|other| (other.spec.promotion_tier, other.spec.identifier.clone()))
                .collect();
            others.sort_unstable();
            let Some((_, to)) = others.first() else { return Ok(()) };
            progress(&format!("making {to} the writer"));
            match self.fail_over(cluster, to).await {
                Err(error) if is_busy(&error) && tries < 5 => {
                    tries += 1;
                    self.cluster_at_rest(cluster, &[], LIMIT, progress).await?;
                    self.others_at_rest(cluster, from, progress).await?;
                }
                other => break other?,
            }
        }
        Ok(self.failed_over(cluster, from, progress).await?)
    }

    /// An earlier run that was killed may have left another one while it restarts: then there would be nobody to hand
    /// over to, and for a moment nobody at all.
    async fn others_at_rest(
        &self,
        cluster: &str,
        from: &str,
        progress: &dyn Fn(&str),
    ) -> Result<(), AwsError> {
        let fleet = self.fleet().await?;
        let others = fleet.members(cluster).filter(|other| other.spec.identifier != from);
        for other in others.filter(|other| !["available", "deleting"].contains(&other.status.as_str())) {
            match self.instance_at_rest(&other.spec.identifier, &[], progress).await {
                // One that is broken helps nobody by being waited for.
                Ok(_) | Err(AwsError::Unfit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Changes one instance. One that restarts hands over first if it is the writer.
    pub(super) async fn change_instance(
        &self,
        old: &AuroraInstance,
        new: &AuroraInstance,
        progress: &dyn Fn(&str),
    ) -> Result<(), Error> {
        let identifier = &new.spec.identifier;
        self.retag(&old.facts.arn, &old.spec.tags, &new.spec.tags).await?;
        if new.restarts(old) {
            self.others_at_rest(&new.spec.cluster, identifier, progress).await?;
            self.hand_over(&new.spec.cluster, identifier, progress).await?;
        }
        let fields = differences(&old.spec, &new.spec);
        let disturbing =
            |field: &InstanceField| matches!(field, InstanceField::Class | InstanceField::CaCertificate);
        let (disturbing, quiet): (Vec<_>, Vec<_>) =
            fields.into_iter().filter(|field| *field != InstanceField::Tags).partition(disturbing);
        for (fields, immediately) in
            [(quiet, false), (disturbing, new.wishes.apply == ApplyWhen::Immediately)]
        {
            if fields.is_empty() {
                continue;
            }
            let mut tries = 0;
            loop {
                match self.modify_instance(&new.spec, &fields, immediately).await {
                    Err(error) if is_busy(&error) && tries < 5 => {
                        tries += 1;
                        self.instance_at_rest(identifier, &[], progress).await?;
                    }
                    other => break other?,
                }
            }
            let awaited: Vec<&str> =
                if immediately { fields.iter().map(|field| name(*field)).collect() } else { Vec::new() };
            self.instance_at_rest(identifier, &awaited, progress).await?;
        }
        if old.waits_for_restart && !new.waits_for_restart {
            progress("restarting");
            let mut tries = 0;
            loop {
                match self.reboot_instance(identifier).await {
                    // It may take as long as a change of the class that an earlier run began.
                    Err(error) if is_busy(&error) && tries < 5 => {
                        tries += 1;
                        self.instance_at_rest(identifier, &[], progress).await?;
                    }
                    other => break other?,
                }
            }
            self.instance_at_rest(identifier, &[], progress).await?;
        }
        Ok(())
    }
}
