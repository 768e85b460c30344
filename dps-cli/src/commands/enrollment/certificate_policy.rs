//! The certificate policy of an enrollment, by which the service issues certificates: each spelling with the API version that
//! has it.

use clap::Args;
use serde_json::Value;

/// The policy in one of its spellings.
#[derive(Debug, Args)]
pub(crate) struct CertificatePolicyArgs {
    /// Issue certificates to devices that request one with their registration, by this policy of a certificate authority in a
    /// namespace (API version 2026-11-01)
    #[arg(long, value_name = "NAMESPACE/AUTHORITY/POLICY", value_parser = parse_names)]
    certificate_policy: Option<[String; 3]>,
    /// The same, by the resource id of the policy (API version 2026-07-01-preview)
    #[arg(long, value_name = "ID", conflicts_with = "certificate_policy")]
    certificate_policy_id: Option<String>,
    /// The same, by the name of a credential policy (API version 2025-07-01-preview)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["certificate_policy", "certificate_policy_id"])]
    credential_policy: Option<String>,
}

/// The members of each spelling.
const NAMES: [&str; 3] = ["namespaceName", "certificateAuthorityName", "certificatePolicyName"];
const RESOURCE_ID: &str = "certificatePolicyResourceId";
const CREDENTIAL_POLICY: &str = "credentialPolicyName";

fn parse_names(text: &str) -> Result<[String; 3], &'static str> {
    let names: Vec<String> = text.split('/').map(str::to_owned).collect();
    let names = <[String; 3]>::try_from(names).ok().filter(|names| names.iter().all(|name| !name.is_empty()));
    names.ok_or("the policy must have the form NAMESPACE/AUTHORITY/POLICY")
}

impl CertificatePolicyArgs {
    /// The first API version that has the spelling, if the enrollment names a policy.
    pub(super) fn api_version(&self) -> Option<&'static str> {
        match self {
            Self { certificate_policy: Some(_), .. } => Some("2026-11-01"),
            Self { certificate_policy_id: Some(_), .. } => Some("2026-07-01-preview"),
            Self { credential_policy: Some(_), .. } => Some("2025-07-01-preview"),
            _ => None,
        }
    }

    /// Adds the members that name the policy.
    pub(super) fn write(&self, body: &mut Value) {
        for (member, name) in NAMES.into_iter().zip(self.certificate_policy.iter().flatten()) {
            body[member] = name.as_str().into();
        }
        for (member, name) in [(RESOURCE_ID, &self.certificate_policy_id), (CREDENTIAL_POLICY, &self.credential_policy)]
        {
            if let Some(name) = name {
                body[member] = name.as_str().into();
            }
        }
    }
}

/// The policy that an enrollment names, in one line.
pub(super) fn shown(enrollment: &Value) -> Option<String> {
    let text = |member: &str| enrollment.get(member).and_then(Value::as_str).map(str::to_owned);
    let names: Option<Vec<String>> = NAMES.into_iter().map(text).collect();
    let names = names.map(|names| names.join("/"));
    names.or_else(|| text(RESOURCE_ID)).or_else(|| text(CREDENTIAL_POLICY))
}
