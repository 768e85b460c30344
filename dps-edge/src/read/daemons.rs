//! Checks across several values in the parts of `config.toml` other than provisioning: the Edge CA, how certificates
//! are issued, where the daemons listen. What holds for one key alone is in the schema.

use super::Reader;
use super::section::Section;
use crate::files::FileRole;
use crate::problem::Problem;
use crate::tree::Entry;
use crate::uri::file_path;

/// Longer names are too long for the common name of a certificate (RFC 5280, appendix A.1).
const HOSTNAME_MAX: usize = 64;

impl Reader<'_> {
    pub(super) fn daemons(&mut self, root: Section<'_>) {
        self.hostname_length(root);
        self.edge_ca(root);
        self.local_ca(root);
        self.issuers(root);
        self.schemes(root, "workload_uri");
        self.schemes(root, "management_uri");
        self.credential_files(root);
    }

    fn hostname_length(&mut self, root: Section<'_>) {
        let Some(entry) = root.get("hostname") else { return };
        let length = entry.node.value.as_text().map_or(0, |name| name.chars().count());
        if length > HOSTNAME_MAX {
            self.report(entry.node.span.start, Problem::LongHostname { length });
        }
    }

    /// The daemon uses the first of three forms that it finds: issued, given, or generated for some days.
    fn edge_ca(&mut self, root: Section<'_>) {
        const FORMS: &str = "`method`, or `cert` with `pk`, or `auto_generated_edge_ca_expiry_days`";
        let Some(edge_ca) = self.section(root, "edge_ca", "[edge_ca]") else { return };
        let (cert, pk) = (edge_ca.get("cert"), edge_ca.get("pk"));
        let days = edge_ca.get("auto_generated_edge_ca_expiry_days");
        let (when, ignored): (_, [Option<&Entry>; 3]) = match (edge_ca.get("method"), cert, pk, days) {
            (Some(_), ..) => ("beside `method`", [cert, pk, days]),
            (None, Some(_), Some(_), _) => {
                ("beside `cert` and `pk`", [days, edge_ca.get("common_name"), edge_ca.get("expiry_days")])
            }
            (None, _, _, Some(_)) => {
                ("beside `auto_generated_edge_ca_expiry_days`", [cert, pk, edge_ca.get("expiry_days")])
            }
            (None, Some(_), None, None) => return self.missing(edge_ca, "pk"),
            (None, None, Some(_), None) => return self.missing(edge_ca, "cert"),
            (None, None, None, None) => {
                return self.report(edge_ca.at, Problem::MissingOneOf { keys: FORMS, table: edge_ca.label });
            }
        };
        for entry in ignored.into_iter().flatten() {
            self.report(entry.at, Problem::Ignored { when });
        }
    }

    fn missing(&mut self, section: Section<'_>, key: &'static str) {
        self.report(section.at, Problem::Missing { key, table: section.label });
    }

    /// A local authority that is a file needs its key; one that is issued has it.
    fn local_ca(&mut self, root: Section<'_>) {
        let issuance = self.section(root, "cert_issuance", "[cert_issuance]");
        let local_ca = issuance.and_then(|issuance| self.section(issuance, "local_ca", "[cert_issuance.local_ca]"));
        let Some(local_ca) = local_ca else { return };
        let is_file = local_ca.get("cert").is_some_and(|cert| cert.node.value.as_text().is_some());
        if is_file && local_ca.get("pk").is_none() {
            self.missing(local_ca, "pk");
        }
    }

    /// Certificates whose issuer is not configured.
    fn issuers(&mut self, root: Section<'_>) {
        let issuance = self.section(root, "cert_issuance", "[cert_issuance]");
        let est = issuance.and_then(|issuance| self.section(issuance, "est", "[cert_issuance.est]"));
        let has_urls = est.is_some_and(|est| est.get("urls").is_some());
        let has_local_ca = issuance.is_some_and(|issuance| issuance.get("local_ca").is_some());
        for issued in self.issued(root) {
            let Some(method) = issued.get("method") else { continue };
            let missing = match method.node.value.as_text() {
                Some("local_ca") if !has_local_ca => "[cert_issuance.local_ca]",
                Some("est") if !has_urls && issued.get("url").is_none() => "`url` here, or [cert_issuance.est.urls]",
                _ => continue,
            };
            self.report(method.node.span.start, Problem::NoIssuer { missing });
        }
        let auth = est.and_then(|est| self.section(est, "auth", "[cert_issuance.est.auth]"));
        for credentials in self.issued(root).into_iter().chain(auth) {
            self.halves(credentials);
        }
    }

    /// An incomplete credential for EST counts as missing.
    fn halves(&mut self, section: Section<'_>) {
        const PAIRS: [[(&str, &str); 2]; 3] = [
            [("username", "without `username`"), ("password", "without `password`")],
            [("identity_cert", "without `identity_cert`"), ("identity_pk", "without `identity_pk`")],
            [
                ("bootstrap_identity_cert", "without `bootstrap_identity_cert`"),
                ("bootstrap_identity_pk", "without `bootstrap_identity_pk`"),
            ],
        ];
        for [(one, without_one), (other, without_other)] in PAIRS {
            match (section.get(one), section.get(other)) {
                (Some(entry), None) => self.report(entry.at, Problem::Ignored { when: without_other }),
                (None, Some(entry)) => self.report(entry.at, Problem::Ignored { when: without_one }),
                _ => {}
            }
        }
    }

    /// Every table that configures how a certificate is issued.
    fn issued<'e>(&self, root: Section<'e>) -> Vec<Section<'e>> {
        let provisioning = self.section(root, "provisioning", "[provisioning]");
        let identity = |name| self.section(self.section(provisioning?, name, "")?, "identity_cert", "");
        let identities = ["attestation", "authentication"].into_iter().filter_map(identity);
        identities.chain(self.section(root, "edge_ca", "[edge_ca]")).collect()
    }

    /// Where the daemon listens, and where modules connect to it: both by sockets or both by HTTP.
    fn schemes(&mut self, root: Section<'_>, name: &'static str) {
        let of = |table: &'static str| {
            let uri = self.section(root, table, "")?.get(name)?;
            let scheme = uri.node.value.as_text()?.split_once(':')?.0;
            Some((uri.node.span.start, scheme))
        };
        let (connect, listen) = (of("connect"), of("listen"));
        let Some((at, _)) = listen.or(connect) else { return };
        let connect = connect.map_or("unix", |(_, scheme)| scheme);
        let listen = listen.map_or("fd", |(_, scheme)| scheme);
        if !matches!((connect, listen), ("unix", "unix" | "fd") | ("http", "http")) {
            self.report(at, Problem::SchemesDiffer);
        }
    }

    /// The certificates and private keys that are files.
    fn credential_files(&mut self, root: Section<'_>) {
        let provisioning = self.section(root, "provisioning", "");
        let identities = ["attestation", "authentication"].map(|name| self.section(provisioning?, name, ""));
        let identities = identities.into_iter().flatten().map(|section| (section, "identity_cert", "identity_pk"));
        let edge_ca = self.section(root, "edge_ca", "").map(|section| (section, "cert", "pk"));
        for (section, certificate, private_key) in identities.chain(edge_ca) {
            for (name, role) in [(certificate, FileRole::Certificate), (private_key, FileRole::PrivateKey)] {
                let Some(entry) = section.get(name) else { continue };
                let path = entry.node.value.as_text().and_then(file_path);
                self.files.extend(path.map(|path| (role, path, entry.node.span.start)));
            }
        }
    }
}
