//! Checks the dependencies of `dps-core`, which must stay few, since they end up on every device.

use serde_json::Value;

use crate::run::{Outcome, cargo, output, report};

const ALLOWED: [&str; 3] = ["sha2", "thiserror", "zeroize"];
/// The one feature, and the optional dependency that is all it brings.
const FEATURE: &str = "defmt";

/// The workspace as cargo sees it.
pub(crate) fn metadata() -> Result<Value, String> {
    let text = output(&mut cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// The dependencies of a member that get linked, with the default features each asks for.
pub(crate) fn dependencies<'v>(metadata: &'v Value, member: &str) -> Vec<&'v Value> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages.filter(|package| package["name"] == member);
    package
        .flat_map(|package| package["dependencies"].as_array())
        .flatten()
        .filter(|dep| dep["kind"].is_null())
        .collect()
}

pub(crate) fn check() -> Outcome {
    let metadata = metadata()?;
    let found = dependencies(&metadata, "dps-core");
    let mut problems = problems(&found);
    let package = metadata["packages"].as_array().into_iter().flatten().find(|package| package["name"] == "dps-core");
    if package.is_none_or(|package| package["features"] != features()) {
        problems.push(format!("dps-core has other cargo features than `{FEATURE}`; limits are data there"));
    }
    report(&problems)
}

fn features() -> Value {
    serde_json::json!({ FEATURE: [format!("dep:{FEATURE}")] })
}

fn problems(found: &[&Value]) -> Vec<String> {
    let name = |dep: &Value| dep["name"].as_str().unwrap_or_default().to_owned();
    let mut problems = Vec::new();
    for dep in found {
        let optional = dep["optional"] == true;
        if optional && name(dep) != FEATURE || !optional && !ALLOWED.contains(&name(dep).as_str()) {
            problems.push(format!("dps-core depends on {}", name(dep)));
        }
        if dep["uses_default_features"] != false {
            problems.push(format!("dps-core enables the default features of {}", name(dep)));
        }
    }
    for allowed in ALLOWED {
        if !found.iter().any(|dep| name(dep) == allowed) {
            problems.push(format!("dps-core no longer depends on {allowed}: say so in ARCHITECTURE.md and here"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_dependencies_and_default_features_are_reported() {
        let good = |name| serde_json::json!({ "name": name, "uses_default_features": false });
        let decided: Vec<Value> = ALLOWED.into_iter().map(good).collect();
        assert_eq!(problems(&decided.iter().collect::<Vec<_>>()), Vec::<String>::new());
        let defmt =
            |optional| serde_json::json!({ "name": FEATURE, "uses_default_features": false, "optional": optional });
        assert_eq!(problems(&decided.iter().chain([&defmt(true)]).collect::<Vec<_>>()), Vec::<String>::new());
        assert_eq!(problems(&decided.iter().chain([&defmt(false)]).collect::<Vec<_>>()).len(), 1);
        let log = good("log");
        assert_eq!(problems(&decided.iter().chain([&log]).collect::<Vec<_>>()).len(), 1);
        let fat = serde_json::json!({ "name": "sha2", "uses_default_features": true });
        assert_eq!(problems(&decided.iter().skip(1).chain([&fat]).collect::<Vec<_>>()).len(), 1);
    }
}
