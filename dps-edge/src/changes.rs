//! What another version of IoT Edge makes of the same file: an upgrade, or the way back.

use crate::finding::{Finding, Severity};
use crate::problem::Problem;
use crate::read::read;
use crate::version::{EdgeVersion, Format};

/// Everything in a configuration whose verdict or meaning differs between two versions of one generation: what `to` finds
/// and `from` does not, and what `from` passes over or refuses and `to` reads.
///
/// ```
/// use dps_edge::{EdgeVersion, Format, changes};
///
/// let text = "local_gateway_hostname = \"parent.example\"\n[provisioning]\nsource = \"none\"\n";
/// let changes = changes(text, Format::Toml, EdgeVersion::new(4, 10), EdgeVersion::V1_6);
/// assert_eq!(changes.len(), 1);
/// assert_eq!((changes[0].id(), changes[0].key), ("now-read", Some("local_gateway_hostname")));
/// ```
#[must_use]
pub fn changes(text: &str, format: Format, from: EdgeVersion, to: EdgeVersion) -> Vec<Finding> {
    let (before, after) = (read(text, format, from).findings, read(text, format, to).findings);
    let is_in = |findings: &[Finding], wanted: &Finding| findings.iter().any(|finding| is_same(finding, wanted));
    let gone = before.iter().filter(|finding| !is_in(&after, finding)).filter_map(|finding| no_longer(finding, from));
    let new = after.iter().filter(|finding| !is_in(&before, finding)).copied();
    let about_the_file = |finding: &Finding| !matches!(finding.problem, Problem::OutOfService { .. });
    let mut changes: Vec<Finding> = gone.chain(new).filter(about_the_file).collect();
    changes.sort_by_key(|finding| finding.place);
    changes
}

/// The texts may differ: they can name the version.
fn is_same(one: &Finding, other: &Finding) -> bool {
    (one.place, one.key, one.id()) == (other.place, other.key, other.id())
}

/// What it means that a finding is not made any more.
fn no_longer(finding: &Finding, from: EdgeVersion) -> Option<Finding> {
    let problem = match finding.problem {
        Problem::TooNew { since } => Problem::NowRead { since },
        _ if finding.severity() == Severity::Error => Problem::NowAccepted { from },
        _ => return None,
    };
    Some(Finding { problem, ..*finding })
}
