//! A server that stands for a cluster, and how to get to it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::time::StaticTimeSource;
use infra::{
    model::{environment::Tls, secret::Secret},
    providers::{
        ReadOnly, ReadWrite,
        aws::token::Signer,
        postgres::{ADMIN, Access, Bootstrapped, Endpoint, Login, Postgres, Route, Routes},
    },
};

use crate::support::{
    stand_in::{self, MASTER, StandIn},
    verifier::{Refusal, Verifier},
};

pub(super) const HOST: &str = "main.cluster-c1abcdefghij.eu-central-1.rds.amazonaws.com";
/// Another name of the same server, which tells no region.
pub(super) const BARE: &str = "database.example";
pub(super) const PORT: u16 = 5432;
pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const MASTER_PASSWORD: &str = "canary master ' password";

pub(super) struct Server {
    pub(super) stand_in: Arc<StandIn>,
    pub(super) verifier: Verifier,
}

impl Server {
    pub(super) fn new() -> Self {
        let verifier = Verifier::start("eu-central-1");
        for host in [HOST, BARE] {
            verifier.allow_endpoint(host, PORT);
        }
        verifier.know(ACCESS_KEY, SECRET_KEY, None);
        let stand_in = StandIn::start(&stand_in::Options {
            hosts: &[HOST.into(), BARE.into()],
            master_password: MASTER_PASSWORD,
            ldap_port: verifier.port(),
            parameters: &[],
        });
        Self { stand_in: Arc::new(stand_in), verifier }
    }

    pub(super) async fn bootstrapped() -> (Self, Postgres<ReadWrite>) {
        let server = Self::new();
        let admin = Postgres::<ReadWrite>::new(server.login(ADMIN, iam()));
        let master = server.login(MASTER, password());
        assert_eq!(admin.bootstrap(&endpoint(), async || Ok(master)).await.unwrap(), Bootstrapped::Made);
        server.verifier.reset();
        (server, admin)
    }

    /// As by a forwarded port.
    pub(super) fn route(&self) -> Route {
        let route = Route::new(Tls::VerifyFull, Some(self.stand_in.ca_file()));
        route.through(Some("127.0.0.1".into()), Some(self.stand_in.port()))
    }

    pub(super) fn login(&self, user: &str, access: Access) -> Login {
        login(user, access, routes(self.route()))
    }

    pub(super) fn ask(&self, sql: &str) -> String {
        self.stand_in.superuser("postgres", sql)
    }

    /// Why logins of somebody were refused.
    pub(super) fn refusals(&self, user: &str) -> Vec<Refusal> {
        self.verifier
            .refused()
            .into_iter()
            .filter(|refused| refused.user == user)
            .map(|refused| refused.reason)
            .collect()
    }
}

pub(super) fn endpoint() -> Endpoint {
    Endpoint { cluster: "main".into(), host: HOST.into(), port: PORT }
}

pub(super) fn routes(route: Route) -> Routes {
    Routes::new(BTreeMap::from([("main".to_owned(), route)]))
}

/// Signs with this secret, as of so long ago, for this region where the endpoint names none.
pub(super) fn signer(secret: &str, age: Duration, region: &str) -> Signer {
    Signer::new(config(secret, age), region)
}

pub(super) fn config(secret: &str, age: Duration) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, secret, None, None, "a test");
    SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .time_source(StaticTimeSource::new(SystemTime::now() - age))
        .build()
}

pub(super) fn good() -> Signer {
    signer(SECRET_KEY, Duration::ZERO, "us-west-2")
}

pub(super) fn iam() -> Access {
    Access::iam(Arc::new(good()))
}

pub(super) fn password() -> Access {
    Access::Password(Secret::new(MASTER_PASSWORD.into()))
}

pub(super) fn login(user: &str, access: Access, routes: Routes) -> Login {
    Login {
        user: user.into(),
        application: "a test".into(),
        statement_timeout: Duration::from_secs(20),
        read_only: false,
        access,
        routes,
    }
}

/// All that is told of an error; there is no secret in it.
pub(super) fn told(error: &(impl std::error::Error + 'static)) -> String {
    let told = infra::model::causes(error);
    for text in [format!("{error:?}"), told.clone()] {
        assert!(!text.contains("X-Amz-") && !text.contains("canary"), "{text}");
    }
    told
}

pub(super) async fn refused(login: Login, endpoint: &Endpoint) -> String {
    told(&Postgres::<ReadOnly>::new(login).ping(endpoint).await.unwrap_err())
}
