//! The card as JUnit XML, for continuous integration: a test case for each scenario. One that was skipped on request
//! failed, as in the score; only one that does not apply is `skipped`.

use std::fmt::Write;

use crate::card::{Card, Outcome, ScenarioResult};
use crate::scenario::Level;

pub(crate) fn write(card: &Card) -> String {
    let count = |outcomes: &[Outcome]| card.scenarios().iter().filter(|one| outcomes.contains(&one.outcome())).count();
    let failures = count(&[Outcome::Failed, Outcome::Skipped]);
    let seconds = card.elapsed().as_secs_f64();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = escape(&format!("dps emulator accept: {}", card.subject()));
    // Writing to a string does not fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.3}\">",
        card.scenarios().len(),
        count(&[Outcome::NotApplicable]),
    );
    let properties = [
        ("score", card.score().to_string()),
        ("scenariosVersion", card.version().to_string()),
        ("transport", card.transport().name().to_owned()),
        ("credential", card.credential().name().to_owned()),
    ];
    xml.push_str("  <properties>\n");
    for (name, value) in properties {
        let _ = writeln!(xml, "    <property name=\"{name}\" value=\"{value}\"/>");
    }
    xml.push_str("  </properties>\n");
    card.scenarios().iter().for_each(|result| case(&mut xml, result));
    xml.push_str("</testsuite>\n");
    xml
}

fn case(xml: &mut String, result: &ScenarioResult) {
    let level = if result.level() == Level::Required { "required" } else { "recommended" };
    let (name, seconds) = (escape(result.name()), result.elapsed().as_secs_f64());
    let _ = write!(xml, "  <testcase classname=\"dps.accept.{level}\" name=\"{name}\" time=\"{seconds:.3}\"");
    let inside = match result.outcome() {
        Outcome::Passed => None,
        Outcome::NotApplicable => Some("<skipped message=\"not applicable\"/>".to_owned()),
        Outcome::Skipped => Some("<failure message=\"skipped on request, which counts as failed\"/>".to_owned()),
        Outcome::Failed => {
            let problem = escape(result.problem().unwrap_or_default());
            let documents = result.documents().iter().map(|document| format!("\nsee {}", escape(document)));
            let about = escape(result.about());
            Some(format!("<failure message=\"{problem}\">{about}{}</failure>", documents.collect::<String>()))
        }
    };
    let output = result.output().map(|output| format!("<system-out>{}</system-out>", escape(output)));
    if inside.is_none() && output.is_none() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    for element in inside.into_iter().chain(output) {
        let _ = writeln!(xml, "    {element}");
    }
    xml.push_str("  </testcase>\n");
}

/// Escapes what has a meaning in XML. Control characters, which XML 1.0 cannot have, were made visible before.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::{Credential, ScenarioSet, Transport};

    #[test]
    fn failures_are_escaped_and_skipped_scenarios_fail() {
        let set = ScenarioSet::get().scenarios();
        let results = vec![
            ScenarioResult::new(&set[0], Outcome::Passed),
            ScenarioResult::failed(&set[1], "it said <&\">", Some("]]>\x00\x1b")),
            ScenarioResult::new(&set[2], Outcome::Skipped),
            ScenarioResult::new(&set[3], Outcome::NotApplicable),
        ];
        let card = Card::new((Transport::Mqtt, Credential::Key), false, results, Duration::from_millis(1500));
        let xml = card.to_junit();
        assert!(xml.contains("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"1.500\""), "{xml}");
        assert!(xml.contains("message=\"it said &lt;&amp;&quot;&gt;\""), "{xml}");
        assert!(xml.contains("<system-out>]]&gt;\\u{0}\\u{1b}</system-out>"), "{xml}");
        assert!(xml.contains("<property name=\"score\" value=\"33\"/>"), "{xml}");
        let is_allowed = |c: char| c == '\n' || !c.is_control();
        assert!(xml.chars().all(is_allowed));
    }
}
