//! TLS to a server: whom it must be signed by, and whose name it must bear.
//!
//! Only the authorities that were asked for are trusted. With the public ones beside them, a certificate that anybody
//! can get for any name would do where the name is not checked.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::Cause;

/// The authorities of RDS; origin and date are in its first lines.
pub const AUTHORITIES: &str = include_str!("../../../assets/rds-global-bundle.pem");
/// Asks for TLS: the length, and the code that stands where a version would.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a client accepts. `any_name`: the certificate must be signed, but may be somebody else's.
pub(super) fn config(ca_file: Option<&Path>, any_name: bool) -> Result<ClientConfig, Cause> {
    let roots = Arc::new(roots(ca_file).map_err(Cause::Wire)?);
    let provider = Arc::new(ring::default_provider());
    let broken = |error: &dyn std::fmt::Display| Cause::Wire(format!("TLS cannot be set up: {error}"));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| broken(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?;
    Ok(if any_name {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
            .with_no_client_auth()
    } else {
        builder.with_root_certificates(roots).with_no_client_auth()
    })
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let text = match ca_file {
        Some(file) => std::fs::read(file)
            .map_err(|error| format!("connection.ca_file {} cannot be read: {error}", file.display()))?,
        None => AUTHORITIES.into(),
    };
    let name = ca_file.map_or_else(|| "the bundle of RDS".into(), |file| file.display().to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("{name} is no PEM file: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{name} holds a certificate that is none: {error}"))?;
    }
    if roots.is_empty() { Err(format!("{name} holds no certificate")) } else { Ok(roots) }
}

/// Asks the server for TLS and checks who it is.
pub(super) async fn handshake(
    mut tcp: TcpStream,
    config: Arc<ClientConfig>,
    host: &str,
    ca_file: Option<&Path>,
) -> Result<TlsStream<TcpStream>, Cause> {
    let wire = |error: io::Error| Cause::Wire(error.to_string());
    tcp.write_all(&SSL_REQUEST).await.map_err(wire)?;
    let mut answer = [0];
    match tcp.read(&mut answer).await.map_err(wire)? {
        0 => {
            return Err(Cause::Wire("the connection was closed before the server said anything".into()));
        }
        _ if answer == *b"S" => {}
        _ if answer == *b"N" => {
            return Err(Cause::Wire("the server does not speak TLS".into())
                .likely("this is no server of RDS, or something between here and there ends TLS"));
        }
        _ => return Err(Cause::Wire("what answers there is no Postgres".into())),
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Cause::Wire(format!("`{host}` is no name that a certificate could bear")))?;
    TlsConnector::from(config).connect(name, tcp).await.map_err(|error| told(&error, host, ca_file))
}

fn told(error: &io::Error, host: &str, ca_file: Option<&Path>) -> Cause {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let Some(TlsError::InvalidCertificate(wrong)) = tls else {
        return Cause::Wire(format!("TLS failed: {error}"));
    };
    match wrong {
        CertificateError::UnknownIssuer => {
            let cause = Cause::Wire("the server's certificate is signed by an authority unknown here".into());
            cause.likely(match ca_file {
                Some(file) => format!("the authority belongs into connection.ca_file, which is {}", file.display()),
                None => "for servers of RDS in a new region, load https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem \
                         and name it in connection.ca_file; for others, name the file of their own authority there"
                    .into(),
            })
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let cause = format!("the server's certificate is for {}, not for {host}", names.join(", "));
            Cause::Wire(cause).likely(
                "what answers at this address is another server than the cluster; are connection.host and \
                 connection.port, or the tunnel, meant for this one?",
            )
        }
        CertificateError::NotValidForName => {
            Cause::Wire(format!("the server's certificate is not for {host}"))
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            Cause::Wire("the server's certificate has expired, or is not valid yet".into())
                .likely("is this machine's clock right?")
        }
        other => Cause::Wire(format!("the server's certificate is no good: {other}")),
    }
}

/// `DnsName("a.example")` as rustls tells it, without its wrapping.
fn bare(name: &str) -> &str {
    let inner = name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    inner.unwrap_or(name)
}

/// Accepts a certificate of another name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        // The name is looked at last, when the chain and the dates have been found good.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};

    use super::*;

    /// One element of DER: its tag, its content, and what follows.
    fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (header, length) = match der[1] {
            short @ 0..0x80 => (2, usize::from(short)),
            long => {
                let bytes = usize::from(long & 0x7f);
                (2 + bytes, der[2..2 + bytes].iter().fold(0, |all, byte| all << 8 | usize::from(*byte)))
            }
        };
        (der[0], &der[header..header + length], &der[header + length..])
    }

    fn time(tag: u8, text: &[u8]) -> Timestamp {
        let text = std::str::from_utf8(text).unwrap();
        // UTCTime has two digits of the year; none of these ends before 2050, where it ends.
        let text = if tag == 0x17 { format!("20{text}") } else { text.to_owned() };
        TimeZone::UTC.to_timestamp(DateTime::strptime("%Y%m%d%H%M%SZ", text).unwrap()).unwrap()
    }

    /// The name and the end of a certificate.
    fn read(certificate: &[u8]) -> (String, Timestamp) {
        let (_, certificate, _) = element(certificate);
        let (_, signed, _) = element(certificate);
        // Version, serial number, algorithm, issuer.
        let rest = (0..4).fold(signed, |rest, _| element(rest).2);
        let (_, validity, rest) = element(rest);
        let (tag, end, _) = element(element(validity).2);
        let (_, mut subject, _) = element(rest);
        let mut name = String::new();
        while !subject.is_empty() {
            let (_, set, rest) = element(subject);
            let (_, pair, _) = element(set);
            let (_, kind, value) = element(pair);
            // commonName
            if kind == [0x55, 4, 3] {
                name = String::from_utf8(element(value).1.to_vec()).unwrap();
            }
            subject = rest;
        }
        (name, time(tag, end))
    }

    #[test]
    fn the_bundle_lasts_and_has_the_common_regions() {
        let all: Vec<(String, Timestamp)> = CertificateDer::pem_slice_iter(AUTHORITIES.as_bytes())
            .map(|certificate| read(&certificate.unwrap()))
            .collect();
        let in_a_year = Timestamp::now() + (365 * 24).hours();
        for (name, end) in &all {
            assert!(name.starts_with("Amazon RDS ") && name.ends_with(" G1"), "{name}");
            assert!(*end > in_a_year, "{name} ends {end}: run sh assets/make-bundle.sh");
        }
        for region in [
            "eu-central-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "eu-north-1",
            "eu-south-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "ca-central-1",
            "sa-east-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-south-1",
            "me-south-1",
            "af-south-1",
        ] {
            for key in ["RSA2048", "RSA4096", "ECC384"] {
                let name = format!("Amazon RDS {region} Root CA {key} G1");
                assert!(all.iter().any(|(found, _)| *found == name), "{name} is missing");
            }
        }
        let stated = format!("# {} certificates:", all.len());
        assert!(AUTHORITIES.lines().any(|line| line.starts_with(&stated)), "not {} certificates", all.len());
        assert_eq!(roots(None).unwrap().len(), all.len());
    }

    #[test]
    fn only_the_authorities_of_the_file_are_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let told = |file: &Path| roots(Some(file)).unwrap_err();
        assert!(told(&file).contains("ca.pem cannot be read: No such file"), "{}", told(&file));
        std::fs::write(&file, "nothing").unwrap();
        assert!(told(&file).ends_with("ca.pem holds no certificate"), "{}", told(&file));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(told(&file).contains("holds a certificate that is none"), "{}", told(&file));
        let first = AUTHORITIES.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
        std::fs::write(&file, first).unwrap();
        assert_eq!(roots(Some(&file)).unwrap().len(), 1);
    }
}
