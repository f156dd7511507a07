//! Whose a role is, what a difference becomes, and what quotas allow.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    engine::{Action, Desired, Finding, Hold, World, plan},
    model::policy::Statement,
    providers::aws::{Interest, iam::Iam},
    resources::{Effects as _, Recognise as _, aurora::cluster::AuroraCluster},
};

const ARN: &str = "arn:aws:rds-db:eu-central-1:111122223333:dbuser:";

fn awaited(login: &str) -> Late {
    Late::after(AuroraCluster::address("main"), Output::ResourceId).within(ARN, &format!("/{login}"))
}

fn known(login: &str) -> Late {
    Late::Known(format!("{ARN}cluster-1/{login}"))
}

fn connect(logins: impl IntoIterator<Item = Late>) -> Policy<Late> {
    Document::new(vec![Statement::allow("Connect", &["rds-db:connect"]).on(logins)]).into()
}

fn trust(user: &str) -> Policy<Late> {
    let user = format!("arn:aws:iam::111122223333:user/{user}");
    Document::new(vec![Statement::allow("Person", &["sts:AssumeRole"]).to("AWS", &user)]).into()
}

fn role(logins: impl IntoIterator<Item = Late>) -> IamRole {
    let holder = Holder::Service("orders");
    IamRole {
        name: holder.role("prod"),
        path: IamRole::path("prod"),
        trust: trust("ana"),
        policies: [(POLICY.to_owned(), connect(logins))].into(),
        attached: BTreeSet::new(),
        permissions_boundary: None,
        tags: tag::of("prod", holder.address().as_str(), false),
    }
}

/// As AWS tells of it.
fn there(role: &IamRole) -> Role {
    let text = |policy: &Policy<Late>| policy.clone().map(|late| late.to_string());
    Role {
        name: role.name.clone(),
        path: role.path.clone(),
        arn: format!("arn:aws:iam::111122223333:role{}{}", role.path, role.name),
        trust: text(&role.trust),
        policies: role.policies.iter().map(|(name, policy)| (name.clone(), text(policy))).collect(),
        attached: role.attached.clone(),
        permissions_boundary: role.permissions_boundary.clone(),
        tags: role.tags.clone(),
    }
}

fn world(iam: Iam) -> World<IamRole> {
    let estate = Estate { iam, ..Estate::default() };
    let interest = Interest { environment: "prod".into(), ..Interest::default() };
    let mut world =
        World { found: IamRole::recognise(&estate, &interest).into_iter().collect(), ..World::default() };
    IamRole::survey(&estate, &interest, &mut world);
    world
}

fn of(roles: Vec<Role>) -> World<IamRole> {
    world(Iam { roles, ..Iam::default() })
}

fn decided(declared: Option<IamRole>, world: &World<IamRole>) -> Option<Action<IamRole>> {
    let address = Holder::Service("orders").address();
    let resources = declared.map(|role| (address.clone(), role)).into_iter().collect();
    let plan = plan(&Desired { resources, ..Desired::default() }, world).unwrap();
    plan.steps.into_iter().find(|step| step.address == address).map(|step| step.action)
}

#[test]
fn ours_by_path_name_and_mark() {
    let ours = role([known("svc_orders_app")]);
    let change = |change: &dyn Fn(&mut Role)| {
        let mut role = there(&ours);
        change(&mut role);
        let found = of(vec![role]).found.into_iter().next();
        found.map(|(address, found)| (address.to_string(), found.owned, found.protected))
    };
    let orders = |owned, protected| Some(("iam_role.service/orders".to_owned(), owned, protected));
    assert_eq!(change(&|_| ()), orders(true, false));
    assert_eq!(
        change(&|role| drop(role.tags.insert(tag::PROTECT.into(), "true".into()))),
        orders(true, true)
    );
    // In our way, but not ours.
    for foreign in [
        &|role: &mut Role| role.tags.clear(),
        &|role: &mut Role| drop(role.tags.remove(tag::MANAGED)),
        &|role: &mut Role| drop(role.tags.insert(tag::ENVIRONMENT.into(), "test".into())),
        &|role: &mut Role| drop(role.tags.insert(tag::ID.into(), "iam_role.service/billing".into())),
        &|role: &mut Role| role.path = "/".into(),
        &|role: &mut Role| role.name = "Infra-prod-svc-orders".into(),
    ] as [&dyn Fn(&mut Role); 6]
    {
        assert_eq!(change(foreign), orders(false, false));
    }
    // Of another name in our folder: reported under it.
    let named = |name: &'static str| change(&move |role: &mut Role| role.name = name.into());
    assert_eq!(named("odd"), Some(("iam_role.odd".into(), false, false)));
    assert_eq!(named("infra-prod-svc-"), Some(("iam_role.infra-prod-svc-".into(), false, false)));
    assert_eq!(named("infra-prod-dev-ana"), Some(("iam_role.person/ana".into(), false, false)));
    // What lies where it belongs is another environment's business, be its name like one of ours.
    let other = |role: &mut Role| {
        role.path = "/infra/prod-svc/".into();
        role.name = "infra-prod-svc-svc-x".into();
        role.tags = tag::of("prod-svc", "iam_role.service/x", false);
    };
    assert_eq!(change(&other), None);
    assert_eq!(
        change(&|role| (role.path, role.name) = ("/infra/test/".into(), "infra-test-svc-x".into())),
        None
    );
}

#[test]
fn what_is_declared_and_what_is_there() {
    let id = BTreeMap::from([(
        AuroraCluster::address("main"),
        Outputs::from([(Output::ResourceId, "cluster-1".into())]),
    )]);
    let declared = role([awaited("svc_orders_app"), awaited("svc_orders_reader")]);
    let ours = role([known("svc_orders_reader"), known("svc_orders_app")]);
    let with_id = |world: World<IamRole>| World { facts: id.clone(), ..world };

    // From nothing: the id is not known, and the cluster comes first.
    assert_eq!(declared.depends_on()[0], AuroraCluster::address("main"));
    assert_eq!(decided(Some(declared.clone()), &of(vec![])), Some(Action::Create { new: declared.clone() }));
    // With the cluster there, nothing of it is awaited, so its inside need not be readable.
    let mut unreadable = with_id(of(vec![]));
    unreadable.unreadable.insert(AuroraCluster::address("main"), "connection refused".into());
    assert_eq!(decided(Some(declared.clone()), &unreadable), Some(Action::Create { new: ours.clone() }));
    // The same in another order is the same.
    assert_eq!(decided(Some(declared.clone()), &with_id(of(vec![there(&ours)]))), Some(Action::Keep));
    // A cluster that is made anew has another id, which opens nothing of the old one.
    assert!(matches!(decided(Some(declared.clone()), &of(vec![there(&ours)])), Some(Action::Update { .. })));
    assert_eq!(decided(None, &of(vec![there(&ours)])), Some(Action::Delete { old: ours.clone() }));

    let mut foreign = there(&ours);
    foreign.tags.insert(tag::ENVIRONMENT.into(), "test".into());
    let other = Hold::OtherEnvironment { environment: "test".into() };
    assert_eq!(
        decided(Some(declared.clone()), &of(vec![foreign.clone()])),
        Some(Action::Hold { why: other })
    );
    assert_eq!(decided(None, &of(vec![foreign.clone()])), None);
    foreign.tags.clear();
    assert_eq!(
        decided(Some(declared.clone()), &of(vec![foreign])),
        Some(Action::Hold { why: Hold::Foreign })
    );

    let blind = world(Iam { unreadable: Some("AccessDenied".into()), ..Iam::default() });
    let why = Hold::Unreadable { parent: "iam_path.infra/prod".parse().unwrap(), why: "AccessDenied".into() };
    assert_eq!(decided(Some(declared), &blind), Some(Action::Hold { why }));
}

#[test]
fn less_access_before_more() {
    let new = IamRole {
        permissions_boundary: Some("arn:aws:iam::111122223333:policy/edge".into()),
        ..role([known("svc_orders_app")])
    };
    let mut old = role([known("svc_orders_app"), known("svc_billing_app")]);
    old.trust = Policy::Text("{".into());
    old.attached.insert("arn:aws:iam::aws:policy/AdministratorAccess".into());
    old.policies.insert("extra".into(), connect([known("x")]));
    old.tags.insert("colour".into(), "red".into());
    old.tags.remove(tag::MANAGED);
    let mut effects = IamRole::effects(&Action::Update { old: old.clone(), new: new.clone() });
    let documents: Vec<String> =
        effects.iter_mut().filter_map(|line| line.find('{').map(|at| line.split_off(at))).collect();
    assert_eq!(
        effects,
        [
            "iam:DetachRolePolicy infra-prod-svc-orders arn:aws:iam::aws:policy/AdministratorAccess",
            "iam:DeleteRolePolicy infra-prod-svc-orders/extra",
            "iam:PutRolePermissionsBoundary infra-prod-svc-orders arn:aws:iam::111122223333:policy/edge",
            "iam:UpdateAssumeRolePolicy infra-prod-svc-orders ",
            "iam:PutRolePolicy infra-prod-svc-orders/infra ",
            "iam:TagRole infra-prod-svc-orders (infra:managed=true)",
            "iam:UntagRole infra-prod-svc-orders (colour)",
        ]
    );
    assert_eq!(documents, [new.trust.minified(), new.policies[POLICY].minified()]);
    assert_eq!(
        IamRole::effects(&Action::Delete { old })[3..],
        ["iam:DeleteRole infra-prod-svc-orders".to_owned()]
    );
    let create = IamRole::effects(&Action::Create { new });
    assert!(
        create[0].starts_with(
            "iam:CreateRole infra-prod-svc-orders (path /infra/prod/, boundary arn:aws:iam::111122223333:policy/edge) trusting {"
        ),
        "{create:?}"
    );
    assert!(
        create[1].starts_with("iam:PutRolePolicy infra-prod-svc-orders/infra {\"Statement\":"),
        "{create:?}"
    );
}

#[test]
fn a_principal_that_was_made_anew_is_another() {
    let new = role([]);
    let mut old = new.clone();
    let user = Statement::allow("Person", &["sts:AssumeRole"]).to("AWS", "AIDAEXAMPLE123456789");
    old.trust = Document::new(vec![user]).into();
    assert_ne!(new, old);
    let costs = new.costs(&old);
    assert!(costs[0].starts_with("AIDAEXAMPLE123456789: whom the trust named was deleted"), "{costs:?}");
    assert!(new.costs(&role([known("x")])).is_empty());
}

fn refused(quotas_are: &[(&str, i64)], roles: &[IamRole]) -> Vec<Finding> {
    let quotas_are = quotas_are.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
    let world = world(Iam { quotas: quotas_are, ..Iam::default() });
    let named =
        |(number, role): (usize, &IamRole)| (Holder::Person(&number.to_string()).address(), role.clone());
    let resources = roles.iter().enumerate().map(named).collect();
    quotas(&plan(&Desired { resources, ..Desired::default() }, &world).unwrap())
}

#[test]
fn quotas_before_the_first_call() {
    let many = vec![role([awaited("svc_orders_app")]); 3];
    assert!(refused(&[("RolesQuota", 1000), ("Roles", 997)], &many).is_empty());
    // Nothing was read of them.
    assert!(refused(&[], &many).is_empty());
    let full = refused(&[("RolesQuota", 1000), ("Roles", 998)], &many);
    assert_eq!((full.len(), full[0].guard.as_str(), full[0].addresses.len()), (1, "quota", 3));
    assert_eq!(
        full[0].message,
        "3 IAM roles would be created, but the account has 998 of the 1000 that its RolesQuota allows: room for 2"
    );
    // More than there should be, for the quota was lowered.
    assert!(refused(&[("RolesQuota", 10), ("Roles", 20)], &many)[0].message.ends_with("room for 0"));

    let size = many[0].policies[POLICY]
        .clone()
        .map(|_| format!("{ARN}cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/svc_orders_app"))
        .size();
    let size = i64::try_from(size).unwrap();
    assert!(refused(&[("RolePolicySizeQuota", size)], &many[..1]).is_empty());
    let long = refused(&[("RolePolicySizeQuota", size - 1)], &many[..1]);
    assert!(long[0].message.starts_with(&format!("the inline policies have {size} characters")), "{long:?}");
    let trust = i64::try_from(many[0].trust.size()).unwrap();
    assert!(refused(&[("AssumeRolePolicySizeQuota", trust)], &many[..1]).is_empty());
    assert_eq!(refused(&[("AssumeRolePolicySizeQuota", trust - 1)], &many[..1]).len(), 1);
}
