//! To a service's database.

use std::{fmt::Write as _, fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{net::lookup_host, time::timeout};

use super::{
    super::{Exit, Stop, output::nowhere, platform, session::of_aws},
    Connecting,
    child::Child,
};
use crate::{
    compose,
    model::{
        environment::{Access, Tls},
        names::Names,
        percent,
        secret::Secret,
    },
    providers::{
        ReadOnly,
        aws::{Aws, Settings},
        postgres::{AUTHORITIES, Endpoint, Routes, Tokens as _, Way},
    },
    resources::search_path,
    ui::Failure,
};

/// To find out where a name leads.
const RESOLVE: Duration = Duration::from_secs(10);
/// Whoever starts psql does not want to wait for the kernel, which would take minutes.
const CONNECT_TIMEOUT: &str = "15";
/// Variables of libpq by which somebody's own settings would lead elsewhere, or to less safety.
const CLEARED: [&str; 16] = [
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLNEGOTIATION",
    "PGREQUIRESSL",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGGSSENCMODE",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
];

impl Connecting<'_> {
    pub(super) async fn postgres(&self, service: &str) -> Result<Exit, Stop> {
        let (session, arguments) = (self.session, self.arguments);
        let admission = self.admitted(&[service], service)?;
        let cluster = compose::cluster_of(&session.environment, service).unwrap_or_default();
        let on_aws = self.who.identity.is_some();
        let routes = if on_aws {
            platform::routes(&session.environment, &session.folder())?
        } else {
            Routes::default()
        };
        self.possible(&routes, cluster)?;
        let with_secret = !arguments.print || arguments.with_token;
        let role = if with_secret { self.role().await? } else { None };
        let endpoint = self.endpoint(cluster).await?;
        let user = Names::of(&session.environment).person(&self.who.person);
        let token = match role {
            Some(role) => {
                Some(role.signer.token(&endpoint, &user).await.map_err(|error| Failure::of(error.as_ref()))?)
            }
            None => None,
        };
        let way = if on_aws {
            routes.open(&endpoint).await.map_err(|cause| Failure::of(&cause))
        } else {
            // Local servers are on loopback, and speak no TLS.
            Ok(Way { host: endpoint.host.clone(), port: endpoint.port, tls: Tls::Disable, ca_file: None })
        };
        let ended = match way {
            Ok(way) => {
                let target =
                    Target { endpoint: &endpoint, way: &way, user: &user, service, reader: arguments.reader };
                let word = if admission.access == Access::ReadWrite { "read-write" } else { "read-only" };
                let end = if arguments.reader { "reader" } else { "writer" };
                let by = admission.by.join(", ");
                let told =
                    format!("Connecting to {service} on {cluster} ({end}) as {user}: {word}, by {by}.");
                self.client(&target, token.as_ref(), &told).await
            }
            Err(failure) => Err(failure.into()),
        };
        routes.close().await;
        ended
    }

    /// What cannot be, known before anything is asked of anybody.
    fn possible(&self, routes: &Routes, cluster: &str) -> Result<(), Stop> {
        if self.arguments.print && routes.is_tunnel(cluster) {
            return Err(Failure::new(
                "a URL would lead nowhere: connection.tunnel runs only while a command does",
            )
            .hint("give the command instead: infra connect SERVICE -- COMMAND")
            .into());
        }
        if self.arguments.reader && !routes.leads_to_all(cluster) {
            return Err(Failure::new(format!(
                "clusters.{cluster}.connection leads to one endpoint only, which is the writer"
            ))
            .hint("a connection.tunnel with {host} in it leads to whichever is asked for")
            .into());
        }
        Ok(())
    }

    async fn endpoint(&self, cluster: &str) -> Result<Endpoint, Stop> {
        let session = self.session;
        if let Some(told) = &self.arguments.endpoint {
            return Endpoint::parse(cluster, told).map_err(|error| Failure::of(&error).into());
        }
        let aws = match (session.settings()?, &self.who.identity) {
            (Some(settings), Some(identity)) => {
                let told = "say where it is: --endpoint HOST:PORT, as `infra output` tells";
                if identity.account != settings.account {
                    let why = format!(
                        "{} is of another account, and cannot look where the cluster is",
                        identity.arn
                    );
                    return Err(Failure::new(why).hint(told).into());
                }
                let settings = Settings { role_arn: None, ..settings };
                Some(Aws::<ReadOnly>::connect(&settings).await.map_err(|error| of_aws(&error))?)
            }
            _ => None,
        };
        let live = session.finder("connect", aws)?;
        let endpoints = live.endpoints(&session.interest()).await.map_err(|error| {
            let failure = Failure::of(error.as_ref()).named("where the cluster is could not be found out");
            failure.hint(
                "allow rds:DescribeDBClusters and rds:DescribeDBInstances, or say it: --endpoint HOST:PORT",
            )
        })?;
        let (writer, reader) = endpoints.get(cluster).cloned().ok_or_else(|| nowhere(session, cluster))?;
        Ok(if self.arguments.reader { reader } else { writer })
    }

    async fn client(
        &self,
        target: &Target<'_>,
        token: Option<&Secret<String>>,
        told: &str,
    ) -> Result<Exit, Stop> {
        let address = target.address().await?;
        let authorities = self.authorities(target.way)?;
        let mut settings = target.settings(self.session, address, authorities.as_deref());
        if self.arguments.print {
            let plain = url(&settings, None);
            let with = token.map(|token| Secret::new(url(&settings, Some(token.reveal()))));
            return self.print(&plain, with.as_ref());
        }
        if std::env::var_os("PGCONNECT_TIMEOUT").is_none() {
            settings.push(("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.into()));
        }
        settings.push(("PGAPPNAME", self.session.application("connect")));
        settings.extend(token.map(|token| ("PGPASSWORD", token.reveal().clone())));
        self.tell(told);
        let child = Child {
            default: &["psql"],
            get: "install PostgreSQL's client (Debian: postgresql-client)",
            cleared: &CLEARED,
        };
        child.run(&self.arguments.command, settings).await
    }

    /// The file of the authorities that sign the server's certificate. The bundled ones are put where a command can read
    /// them; they are no secret.
    fn authorities(&self, way: &Way) -> Result<Option<PathBuf>, Stop> {
        if way.tls == Tls::Disable {
            return Ok(None);
        }
        if let Some(file) = &way.ca_file {
            return Ok(Some(std::path::absolute(file)?));
        }
        let folder = std::path::absolute(self.session.project.join(".infra"))?;
        let file = folder.join("rds-authorities.pem");
        if fs::read_to_string(&file).is_ok_and(|text| text == AUTHORITIES) {
            return Ok(Some(file));
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            // Whole or not at all, also beside another run.
            let new = folder.join(format!("rds-authorities.{}", std::process::id()));
            fs::write(&new, AUTHORITIES)?;
            fs::rename(&new, &file)
        };
        write()
            .map_err(|error| Failure::of(&error).named(&format!("{} cannot be written", file.display())))?;
        Ok(Some(file))
    }
}

/// Where a client is to go, and as whom.
struct Target<'a> {
    endpoint: &'a Endpoint,
    way: &'a Way,
    user: &'a str,
    service: &'a str,
    reader: bool,
}

/// Variables of libpq, by name.
type Variables = Vec<(&'static str, String)>;

impl Target<'_> {
    /// Where the socket leads, if that is elsewhere than the endpoint: libpq goes there, and checks the endpoint's name.
    async fn address(&self) -> Result<Option<SocketAddr>, Stop> {
        let Way { host, port, .. } = self.way;
        if *host == self.endpoint.host {
            return Ok(None);
        }
        let found = timeout(RESOLVE, lookup_host((host.as_str(), *port))).await;
        let found = found.ok().and_then(Result::ok).and_then(|mut all| all.next());
        found.map(Some).ok_or_else(|| {
            Failure::new(format!("{host} is no address, and no name that leads to one")).into()
        })
    }

    fn settings(
        &self,
        session: &super::Session,
        address: Option<SocketAddr>,
        authorities: Option<&std::path::Path>,
    ) -> Variables {
        let (database, schema) = compose::database_of(&session.environment, self.service);
        let mut all = vec![("PGHOST", self.endpoint.host.clone())];
        all.extend(address.map(|address| ("PGHOSTADDR", address.ip().to_string())));
        all.extend([
            ("PGPORT", self.way.port.to_string()),
            ("PGUSER", self.user.to_owned()),
            ("PGDATABASE", database),
            ("PGSSLMODE", mode(self.way.tls).to_owned()),
        ]);
        all.extend(authorities.map(|file| ("PGSSLROOTCERT", file.display().to_string())));
        let mut options = Vec::new();
        // A database of its own says so itself.
        if let Some(schema) = schema {
            options.push(format!("-csearch_path={}", search_path([&schema, "public"]).replace(' ', "")));
        }
        // What a reader of Aurora does by itself.
        if self.reader && self.way.tls == Tls::Disable {
            options.push("-cdefault_transaction_read_only=on".into());
        }
        if !options.is_empty() {
            all.push(("PGOPTIONS", options.join(" ")));
        }
        all
    }
}

fn mode(tls: Tls) -> &'static str {
    match tls {
        Tls::VerifyFull => "verify-full",
        Tls::VerifyCa => "verify-ca",
        Tls::Disable => "disable",
    }
}

/// The same as a URL that libpq understands.
fn url(settings: &[(&'static str, String)], password: Option<&str>) -> String {
    let of = |name: &str| {
        settings.iter().find(|(known, _)| *known == name).map(|(_, value)| percent::encode(value))
    };
    let part = |name: &str| of(name).unwrap_or_default();
    let password = password.map(|text| format!(":{}", percent::encode(text))).unwrap_or_default();
    let mut url = format!(
        "postgresql://{}{password}@{}:{}/{}",
        part("PGUSER"),
        part("PGHOST"),
        part("PGPORT"),
        part("PGDATABASE")
    );
    let parameters = [
        ("hostaddr", "PGHOSTADDR"),
        ("sslmode", "PGSSLMODE"),
        ("sslrootcert", "PGSSLROOTCERT"),
        ("options", "PGOPTIONS"),
    ];
    let mut sign = '?';
    for (name, variable) in parameters {
        if let Some(value) = of(variable) {
            let _ = write!(url, "{sign}{name}={value}");
            sign = '&';
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_the_same() {
        let settings = [
            ("PGHOST", "main.example".to_owned()),
            ("PGHOSTADDR", "::1".into()),
            ("PGPORT", "5432".into()),
            ("PGUSER", "dev_ana".into()),
            ("PGDATABASE", "shared".into()),
            ("PGSSLMODE", "verify-full".into()),
            ("PGSSLROOTCERT", "/a b/ca.pem".into()),
            ("PGOPTIONS", "-csearch_path=\"orders\",\"public\"".into()),
        ];
        let rest = "@main.example:5432/shared?hostaddr=%3A%3A1&sslmode=verify-full&sslrootcert=%2Fa%20b%2Fca.pem\
                    &options=-csearch_path%3D%22orders%22%2C%22public%22";
        assert_eq!(url(&settings, None), format!("postgresql://dev_ana{rest}"));
        assert_eq!(url(&settings, Some("a:b/c@")), format!("postgresql://dev_ana:a%3Ab%2Fc%40{rest}"));
    }
}
