//! `--rehearse-root`: whether this device would accept the service if the service's chain ended at another root, as after
//! a change of its certificate authority. Nothing is sent.

use dps_client::Roots;
use serde_json::json;

use super::report::{Check, CheckId};
use super::tls::Trust;
use crate::certificate::Certificate;

const ID: CheckId = CheckId::Rehearsal;

/// Checks whether `trusted` contains every one of the `rehearsed` roots.
pub(super) fn rehearse(trusted: &Roots, rehearsed: &Roots) -> Check {
    let judged: Vec<(Certificate, Option<bool>)> =
        rehearsed.given().map(|root| (Certificate::from_der(root), trusted.contains(root))).collect();
    let named = |wanted: Option<bool>| {
        let named = judged.iter().filter(|(_, trusted)| *trusted == wanted);
        named.map(|(certificate, _)| certificate.subject()).collect::<Vec<_>>().join("; ")
    };
    let (missing, unknown) = (named(Some(false)), named(None));
    let check = if !missing.is_empty() {
        let summary =
            format!("this device does not trust {missing}: it would reject the service if its chain ended there");
        Check::error(ID, summary).advise(if trusted.given().next().is_some() {
            "add the root to the file of --ca-file or --add-ca-file, on the device too, before the service changes"
        } else {
            "install the root in this system, or use --add-ca-file, before the service changes"
        })
    } else if !unknown.is_empty() {
        Check::skipped(ID, format!("this system does not list the authorities that it trusts: {unknown} is not known"))
    } else {
        Check::ok(ID, format!("the service would be accepted if its chain ended at {}", named(Some(true))))
    };
    let trust = Trust::new(trusted);
    let check = judged.iter().fold(check, |check, (certificate, _)| {
        let [first, second] = certificate.lines();
        check.seen(format!("rehearsed: {first}")).seen(second)
    });
    let facts: Vec<_> = judged.iter().map(|(root, trusted)| json!({ "root": root, "trusted": trusted })).collect();
    check.seen(format!("trusted: {}", trust.describe())).facts(json!({ "roots": facts }))
}
