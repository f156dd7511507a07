//! The picture of an environment, from its declaration alone.

mod servers;

use std::collections::{BTreeMap, BTreeSet};

use super::{Composition, compose};
use crate::{
    model::{
        Address,
        environment::{Access, DeveloperGroup, Environment, Isolation, Platform, Service, ServiceSelection},
        mark::Subject,
        names::Names,
        picture::{End, Fate, Kind, Picture, Way},
    },
    resources::{
        iam_role::Holder,
        mongo::{role::MongoRole, secret::MongoSecret, user::MongoUser},
        pg_role::PgRole,
    },
};

/// An environment with more services than this is drawn with those in one node that nothing tells apart.
const MANY: usize = 24;
/// So many names stand in such a node, and so many objects in the frame of what is no longer declared.
const NAMED: usize = 12;

/// What is to be drawn besides what is declared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drawn<'a> {
    /// What a plan does, by address.
    pub fates: Option<&'a BTreeMap<Address, Fate>>,
    /// A node for each service, however many there are.
    pub each: bool,
}

/// The picture of an environment. Pure.
pub fn picture(name: &str, environment: &Environment, drawn: Drawn<'_>) -> Picture {
    let desired = compose(name, environment);
    let declared = desired.resources.keys().cloned().collect();
    let composition = Composition { desired, ..Composition::new(name, environment) };
    let empty = BTreeMap::new();
    let mut drawing = Drawing {
        composition: &composition,
        declared,
        fates: drawn.fates.unwrap_or(&empty),
        picture: Picture {
            title: name.into(),
            facts: facts(environment),
            planned: drawn.fates.is_some(),
            ..Picture::default()
        },
        reached: BTreeMap::new(),
        services: BTreeMap::new(),
    };
    drawing.draw(drawn.each);
    drawing.picture
}

fn facts(environment: &Environment) -> Vec<String> {
    let mut facts = match &environment.platform {
        Platform::Aws(aws) => vec![format!("AWS {}", aws.account), aws.region.clone()],
        Platform::Local(_) => vec!["on this machine".into()],
    };
    facts.push(
        match environment.isolation {
            Isolation::Database => "a database for each service",
            Isolation::Schema => "a schema for each service",
        }
        .into(),
    );
    if environment.protect {
        facts.push("protected".into());
    }
    facts
}

struct Drawing<'a> {
    composition: &'a Composition<'a>,
    declared: BTreeSet<Address>,
    fates: &'a BTreeMap<Address, Fate>,
    picture: Picture,
    /// What a group reaches when it reaches a service: the service's databases, of Postgres and MongoDB.
    reached: BTreeMap<&'a str, BTreeSet<usize>>,
    /// The node of each service.
    services: BTreeMap<&'a str, usize>,
}

/// Services that are drawn as one.
struct Alike<'a> {
    names: Vec<&'a str>,
    service: &'a Service,
}

impl<'a> Drawing<'a> {
    fn draw(&mut self, each: bool) {
        let environment = self.composition.environment;
        let people = self.people();
        let groups = self.groups(&people);
        for cluster in environment.clusters.keys() {
            let alike = self.alike(cluster, each);
            self.cluster(cluster, &alike);
        }
        for cluster in environment.mongo_clusters.keys() {
            self.replica_set(cluster);
        }
        self.access(&groups);
        self.colour();
        self.leftovers();
    }

    /// Those of these that are declared.
    fn objects(&self, candidates: impl IntoIterator<Item = Address>) -> BTreeSet<Address> {
        candidates.into_iter().filter(|address| self.declared.contains(address)).collect()
    }

    fn node(
        &mut self,
        kind: Kind,
        title: &str,
        lines: Vec<String>,
        frame: Option<usize>,
        objects: impl IntoIterator<Item = Address>,
    ) -> usize {
        let objects = self.objects(objects);
        let place = self.picture.node(kind, title, lines, frame);
        self.picture.nodes[place].objects = objects;
        place
    }

    fn is_aws(&self) -> bool {
        matches!(self.composition.environment.platform, Platform::Aws(_))
    }

    /// What a subject has on the replica sets.
    fn in_mongo(&self, subject: &Subject) -> Vec<Address> {
        let clusters = self.composition.environment.mongo_clusters.keys();
        clusters
            .flat_map(|cluster| {
                [
                    MongoRole::address(cluster, subject),
                    MongoUser::address(cluster, subject),
                    MongoSecret::address(cluster, subject),
                ]
            })
            .collect()
    }

    /// By name, the node of each.
    fn people(&mut self) -> BTreeMap<&'a str, usize> {
        let environment = self.composition.environment;
        if environment.people.is_empty() {
            return BTreeMap::new();
        }
        let frame = self.picture.frame("People", None);
        let mut nodes = BTreeMap::new();
        for name in environment.people.keys() {
            let iam = Holder::Person(name);
            let lines = if self.declared.contains(&iam.address()) {
                vec![format!("IAM {}", iam.role(self.composition.name))]
            } else {
                Vec::new()
            };
            let clusters = environment.clusters.keys();
            let mut objects: Vec<Address> = clusters
                .map(|cluster| PgRole::address(cluster, &self.composition.names.person(name)))
                .collect();
            objects.push(iam.address());
            objects.extend(self.in_mongo(&Subject::Person(name.clone())));
            nodes.insert(name.as_str(), self.node(Kind::Person, name, lines, Some(frame), objects));
        }
        nodes
    }

    fn groups(&mut self, people: &BTreeMap<&'a str, usize>) -> Vec<(&'a DeveloperGroup, usize)> {
        let environment = self.composition.environment;
        if environment.developer_groups.is_empty() {
            return Vec::new();
        }
        let frame = self.picture.frame("Groups", None);
        let mut nodes = Vec::new();
        for (name, group) in &environment.developer_groups {
            let line = match group.access.unwrap_or(environment.developers) {
                Access::ReadWrite => "reads and writes",
                Access::ReadOnly => "reads",
                Access::None => "no access",
            };
            let clusters = environment.clusters.keys();
            let mut objects: Vec<Address> = clusters
                .map(|cluster| PgRole::address(cluster, &self.composition.names.group(name)))
                .collect();
            objects.extend(self.in_mongo(&Subject::Group(name.clone())));
            let node = self.node(Kind::Group, name, vec![line.into()], Some(frame), objects);
            let members = group.members.iter().filter_map(|member| people.get(member.as_str()));
            for member in members.copied().collect::<BTreeSet<_>>() {
                self.picture.edge(End::Node(member), End::Node(node), Way::Plain);
            }
            nodes.push((group, node));
        }
        nodes
    }

    /// The services of a cluster, each alone, or in many those together that only their names tell apart.
    fn alike(&self, cluster: &str, each: bool) -> Vec<Alike<'a>> {
        let environment = self.composition.environment;
        let here = environment
            .services
            .iter()
            .filter(|(_, service)| self.composition.cluster_of(service.cluster.as_deref()) == cluster);
        if each || environment.services.len() <= MANY {
            return here.map(|(name, service)| Alike { names: vec![name], service }).collect();
        }
        let mut alike: BTreeMap<_, Alike<'a>> = BTreeMap::new();
        for (name, service) in here {
            let groups: Vec<&str> = (environment.developer_groups.iter())
                .filter(
                    |(_, group)| matches!(&group.services, ServiceSelection::Named(of) if of.contains(name)),
                )
                .map(|(group, _)| group.as_str())
                .collect();
            let fates = [
                Fate::of(&self.objects(of_service(&self.composition.names, cluster, name)), self.fates),
                Fate::of(&self.objects(self.of_data(cluster, name, service)), self.fates),
                Fate::of(&self.objects([Holder::Service(name).address()]), self.fates),
            ];
            let key = (groups, service.mongo.as_deref(), service.service_account.is_some(), fates);
            alike.entry(key).or_insert_with(|| Alike { names: Vec::new(), service }).names.push(name);
        }
        let mut alike: Vec<_> = alike.into_values().collect();
        alike.sort_by_key(|alike| alike.names.first().copied());
        alike
    }

    /// Lines from groups: one to the frame of all databases where a group has all that are in it.
    fn access(&mut self, groups: &[(&'a DeveloperGroup, usize)]) {
        let environment = self.composition.environment;
        for (group, node) in groups {
            let way = match group.access.unwrap_or(environment.developers) {
                Access::ReadWrite => Way::Writes,
                Access::ReadOnly => Way::Reads,
                Access::None => continue,
            };
            let services = self.composition.services_of(group);
            let reached: BTreeSet<usize> = (services.iter())
                .filter_map(|(service, _)| self.reached.get(service))
                .flatten()
                .copied()
                .collect();
            let mut ends: BTreeSet<End> = BTreeSet::new();
            for database in &reached {
                let frame = self.picture.nodes[*database].frame;
                let all: Vec<usize> = self.reached.values().flatten().copied().collect();
                let whole = frame.filter(|frame| {
                    let mut inside =
                        all.iter().filter(|other| self.picture.nodes[**other].frame == Some(*frame));
                    inside.clone().count() > 1 && inside.all(|other| reached.contains(other))
                });
                ends.insert(whole.map_or(End::Node(*database), End::Frame));
            }
            for end in ends {
                self.picture.edge(End::Node(*node), end, way);
            }
        }
    }

    fn colour(&mut self) {
        for node in &mut self.picture.nodes {
            node.fate = Fate::of(&node.objects, self.fates);
        }
        for frame in &mut self.picture.frames {
            frame.fate = Fate::of(&frame.objects, self.fates);
        }
    }

    /// What the plan is about and nothing declares any longer.
    fn leftovers(&mut self) {
        let drawn: BTreeSet<&Address> = (self.picture.nodes.iter().map(|node| &node.objects))
            .chain(self.picture.frames.iter().map(|frame| &frame.objects))
            .flatten()
            .collect();
        let mut left: Vec<(Fate, Address)> = (self.fates.iter())
            .filter(|(address, _)| !drawn.contains(address))
            .map(|(address, fate)| (*fate, address.clone()))
            .collect();
        if left.is_empty() {
            return;
        }
        left.sort();
        let frame = self.picture.frame("Not in this declaration", None);
        for (fate, address) in left.iter().take(NAMED) {
            let node =
                self.picture.node(Kind::Leftover, address.path(), vec![address.kind().into()], Some(frame));
            self.picture.nodes[node].objects = [address.clone()].into();
            self.picture.nodes[node].fate = Some(*fate);
        }
        if let Some(rest) = left.get(NAMED..).filter(|rest| !rest.is_empty()) {
            let title = format!("and {} more", rest.len());
            let node = self.picture.node(Kind::Leftover, &title, Vec::new(), Some(frame));
            self.picture.nodes[node].objects = rest.iter().map(|(_, address)| address.clone()).collect();
            self.picture.nodes[node].fate = rest.first().map(|(fate, _)| *fate);
        }
    }
}

fn of_service(names: &Names, cluster: &str, service: &str) -> Vec<Address> {
    names.roles(service).all().map(|role| PgRole::address(cluster, role)).into()
}

#[cfg(test)]
mod tests;
