//! Scores of devices that do little or too much. Well-behaved ones are examined by the tests of the program `dps`.

#![cfg(unix)]

mod board;
mod hammer;

use dps_accept::{AcceptError, Acceptance, Card, Credential, Outcome, Transport};

fn command(words: &[&str]) -> Acceptance {
    Acceptance::of_command(words.iter().map(|word| (*word).to_owned()))
}

async fn card_of(acceptance: Acceptance) -> Card {
    acceptance.run(|_| ()).await.unwrap()
}

/// This program, as the device of [`hammer`].
fn hammer() -> Acceptance {
    let program = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
    command(&[&program, "--exact", "device_that_retries_at_once", "--ignored", "--nocapture"])
}

fn problem<'a>(card: &'a Card, name: &str) -> &'a str {
    card.scenarios().iter().find(|result| result.name() == name).unwrap().problem().unwrap_or("passed")
}

#[tokio::test]
#[ignore = "not a test: the device of the tests below, which run it as a program"]
async fn device_that_retries_at_once() {
    if std::env::var_os("DPS_ENDPOINT").is_some() {
        hammer::run().await;
    }
}

#[tokio::test]
async fn command_that_exits_with_0_at_once_scores_nothing() {
    for transport in [Transport::Https, Transport::Mqtt] {
        let card = card_of(command(&["true"]).transport(transport)).await;
        assert_eq!((card.score(), card.recommended().passed()), (0, 0), "{card}");
        assert!(problem(&card, "registers").contains("nothing of it reached the service (exit status: 0)"), "{card}");
    }
}

#[tokio::test]
async fn client_that_always_retries_at_once_scores_below_30() {
    let card = card_of(hammer()).await;
    assert!(card.score() < 30, "{card}");
    // Whichever is noticed first: the wait that was not kept, or the quota.
    assert_ne!(problem(&card, "registers"), "passed", "{card}");
    assert!(problem(&card, "no-hint").starts_with("more than 5 polls within 10 s, "), "{card}");
    // The service does not refuse them, so that it is seen how many there are.
    let polls = problem(&card, "hint-as-a-date").strip_prefix("more than 5 polls within 10 s, ");
    let polls = polls.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(polls.is_some_and(|polls| polls > 6), "{card}");
    // Each call has a connection of its own, which is seen first.
    let often = problem(&card, "server-error-for-long");
    assert!(often.starts_with("more than 20 register calls") || often.starts_with("more than 20 conn"), "{card}");
    assert!(problem(&card, "wrong-key").contains("more calls after it was refused"), "{card}");
    assert!(problem(&card, "server-of-another-name").starts_with("more than 20 connections"), "{card}");
}

#[tokio::test]
async fn skipped_scenarios_count_as_failed_and_selected_ones_alone() {
    let run = command(&["true"]).only(["registers", "certificate-chain", "tls-1.2"]).skip(["registers"]);
    let card = card_of(run).await;
    let outcomes: Vec<_> = card.scenarios().iter().map(|result| (result.name(), result.outcome())).collect();
    let expected =
        [("registers", Outcome::Skipped), ("tls-1.2", Outcome::Failed), ("certificate-chain", Outcome::NotApplicable)];
    assert_eq!(outcomes, expected);
    assert!(card.is_partial() && card.required().applicable() == 2);
}

#[tokio::test]
async fn command_learns_its_settings_and_its_key_does_not_reach_the_card() {
    let script = "test -r {caFile} || exit 3; stat -c %a $DPS_KEY_FILE; \
                  echo {endpoint} $DPS_HTTPS_PORT $DPS_TRANSPORT $DPS_ID_SCOPE; cat {keyFile}; printf '\\033[31mred'";
    let card = card_of(command(&["sh", "-c", script]).only(["registers"])).await;
    let output = card.scenarios()[0].output().unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "600");
    let words: Vec<&str> = lines[1].split(' ').collect();
    assert_eq!(words[0], format!("localhost:{}", words[1]));
    assert_eq!(words[2..], ["https", "0ne00A1B2C3"]);
    // Padding may follow.
    assert!(lines[2].starts_with("[key]") && lines[2].ends_with(r"\u{1b}[31mred"), "{output}");
}

#[tokio::test]
async fn private_key_that_a_command_prints_does_not_reach_the_card() {
    let print = command(&["sh", "-c", "cat {certKeyFile}; tr -d '=\\n' < {certKeyFile}"]);
    let card = card_of(print.credential(Credential::X509).only(["registers"])).await;
    let output = card.scenarios()[0].output().unwrap();
    assert!(output.contains("-----BEGIN") && output.contains("[key]"), "{output}");
    let longest = output.split(|c: char| !c.is_ascii_alphanumeric() && c != '/' && c != '+').map(str::len).max();
    assert!(longest.unwrap() < 32, "{output}");
}

#[tokio::test]
async fn run_that_cannot_work_is_refused_before_it_begins() {
    let error = |acceptance: Acceptance| async { acceptance.run(|_| ()).await.unwrap_err() };
    assert!(matches!(error(command(&[])).await, AcceptError::NoCommand));
    assert!(matches!(error(command(&["true", "{key}"])).await, AcceptError::Placeholder(..)));
    assert!(matches!(error(command(&["true"]).only(["nothing"])).await, AcceptError::UnknownScenario(_)));
    assert!(matches!(error(command(&["true"]).only(["certificate-chain"])).await, AcceptError::NothingToRun));
    assert!(matches!(error(command(&["/no/such/program"])).await, AcceptError::Command { .. }));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropped_run_ends_its_commands() {
    use rustix::fs::{FlockOperation, flock};
    let folder = tempfile::tempdir().unwrap();
    let (started, locked) = (folder.path().join("started"), folder.path().join("locked"));
    // A lock ends with the last process that has it.
    let script = format!("exec 9>{}; flock 9; touch {}; sleep 600", locked.display(), started.display());
    let run = command(&["sh", "-c", &script]).only(["registers"]);
    tokio::select! {
        _ = run.run(|_| ()) => panic!("the command does not end by itself"),
        () = until(|| started.exists()) => {}
    }
    let file = std::fs::File::open(&locked).unwrap();
    until(|| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()).await;
}

/// Waits for something that happens soon.
#[cfg(target_os = "linux")]
async fn until(happened: impl Fn() -> bool) {
    let wait = async {
        while !happened() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("it does not happen");
}
