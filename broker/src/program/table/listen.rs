//! The settings of one listener.

use super::{
    super::{
        settings::{ClientCertificates, Listen},
        value::{Kind, Value},
    },
    *,
};

/// The settings of a `[[listen]]` beside its `url`.
pub(in crate::program) const LISTEN: &[Setting<Listen>] = &[
    optional!(
        "allow_anonymous",
        "allow-anonymous",
        Kind::Truth,
        allow_anonymous,
        Truth,
        truth,
        "false",
        "Whether clients without a user name may come in here; else as [users] says"
    ),
    optional!(
        "maximum_connections",
        "maximum-connections",
        count(1, MANY),
        maximum_connections,
        Number,
        number,
        "10000",
        "Connections open here at once; else only the limit of all listeners counts"
    ),
    truth!(
        "proxy_protocol",
        "proxy-protocol",
        proxy_protocol,
        "Whether each connection begins with a PROXY protocol 2 header that names the client's address"
    ),
    setting!(
        "origins",
        "origins",
        Kind::Texts("an origin such as \"https://example.org\"", "ORIGIN,…"),
        "Web pages from which browsers may connect to this WebSocket; empty for all",
        |listen| Value::Texts(listen.origins.clone()),
        |listen, value| listen.origins = value.texts()
    ),
];

/// Those that only `mqtts://` and `wss://` have.
pub(in crate::program) const LISTEN_TLS: &[Setting<Listen>] = &[
    optional!(
        "certificate",
        "certificate",
        Kind::Path("a file", "FILE"),
        certificate,
        Path,
        path,
        "\"server.pem\"",
        "Certificate chain of the server, PEM"
    ),
    optional!(
        "key",
        "key",
        Kind::Path("a file", "FILE"),
        key,
        Path,
        path,
        "\"server.key\"",
        "Private key of the certificate, PEM"
    ),
    setting!(
        "client_certificates",
        "client-certificates",
        Kind::Word(&["none", "request", "require"]),
        "Whether clients are asked for a certificate, and must have one",
        |listen| Value::Word(match listen.client_certificates {
            ClientCertificates::None => "none",
            ClientCertificates::Request => "request",
            ClientCertificates::Require => "require",
        }),
        |listen, value| listen.client_certificates = match value.word() {
            "request" => ClientCertificates::Request,
            "require" => ClientCertificates::Require,
            _ => ClientCertificates::None,
        }
    ),
    optional!(
        "client_ca",
        "client-ca",
        Kind::Path("a file", "FILE"),
        client_ca,
        Path,
        path,
        "\"clients-ca.pem\"",
        "Certificates of those who sign clients' certificates, PEM"
    ),
    truth!(
        "use_certificate_name",
        "use-certificate-name",
        use_certificate_name,
        "Whether the name in a client's certificate is its user name, and no password is asked"
    ),
];
