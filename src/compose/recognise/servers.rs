//! Clusters of an account that are not declared, as the YAML would declare them.

use super::{Proposal, Remark, Survey, words::key};
use crate::{
    compose::identifier,
    model::environment::{Cluster, Platform, Serverless},
    providers::aws::estate,
};

pub(super) fn undeclared(survey: &Survey<'_>, proposal: &mut Proposal) {
    let (Some(estate), Platform::Aws(_)) = (survey.estate, &survey.environment.platform) else { return };
    let declared = survey.environment.clusters.iter();
    let declared: Vec<String> =
        declared.map(|(name, cluster)| identifier(survey.name, name, cluster)).collect();
    for cluster in &estate.clusters {
        let name = &cluster.spec.identifier;
        if declared.contains(name) {
            continue;
        }
        let about = format!("cluster {name}");
        if let Some(environment) = crate::model::mark::tag::environment(&cluster.spec.tags) {
            let why = format!("it carries the mark of environment {environment}");
            proposal.remarks.insert(Remark { about, why });
            continue;
        }
        let prefix = format!("{}-", survey.name);
        let short = key(name.strip_prefix(&prefix).unwrap_or(name), "main");
        if survey.environment.clusters.contains_key(&short) || proposal.added.clusters.contains_key(&short) {
            let why = format!(
                "the YAML declares another cluster as `{short}`; declare it with `identifier: {name}`"
            );
            proposal.remarks.insert(Remark { about, why });
            continue;
        }
        let why = "what is inside of it can be seen once it is declared: paste, then import again".into();
        proposal.remarks.insert(Remark { about, why });
        let declared = of(survey.name, &short, cluster, estate);
        proposal.added.clusters.insert(short, declared);
    }
}

fn of(environment: &str, short: &str, cluster: &estate::Cluster, estate: &estate::Estate) -> Cluster {
    let spec = &cluster.spec;
    let instances = || estate.instances.iter().filter(|one| one.spec.cluster == spec.identifier);
    let writer = cluster.members.iter().find(|member| member.writer).map(|member| &member.instance);
    let class = instances().find(|one| writer.is_none_or(|writer| *writer == one.spec.identifier));
    let class = class.map(|one| one.spec.class.clone()).filter(|class| class != "db.serverless");
    let group = estate.subnet_groups.iter().find(|group| group.name == spec.subnet_group);
    let readers = u8::try_from(instances().count().saturating_sub(1)).unwrap_or(u8::MAX).min(15);
    Cluster {
        identifier: (spec.identifier != format!("{environment}-{short}")).then(|| spec.identifier.clone()),
        engine_version: Some(spec.engine_version.clone()),
        serverless: spec.capacity.filter(|_| class.is_none()).map(|capacity| Serverless {
            min: capacity.min,
            max: capacity.max,
            pause_after: None,
        }),
        instance_class: class,
        readers,
        port: (spec.port != 5432).then_some(spec.port),
        subnets: group.map(|group| group.subnets.keys().cloned().collect()).unwrap_or_default(),
        security_groups: spec.security_groups.iter().cloned().collect(),
        kms_key: spec.kms_key.clone(),
        master_username: Some(spec.master_username.clone()),
        ..serde_json::from_value(serde_json::json!({})).unwrap_or_default()
    }
}
