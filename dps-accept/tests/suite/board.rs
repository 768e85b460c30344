//! A board with a fixed id and port, which is simulated by a command that the reset starts.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use dps_accept::{Acceptance, Board, Outcome, Reset};
use dps_emulator::SymmetricKey;

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// A board whose services listen at 127.0.0.`last`, where that is possible: other tests get their ports on 127.0.0.1, so that
/// the one that is found here stays free.
fn board(last: u8, reset: Reset) -> Acceptance {
    let address = if cfg!(target_os = "linux") { Ipv4Addr::new(127, 0, 0, last) } else { Ipv4Addr::LOCALHOST };
    let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let board = Board::with_key("board-7", SymmetricKey::from_base64(KEY).unwrap(), reset);
    Acceptance::of_board(board.quiet(Duration::from_millis(300))).listen(address.into()).https_port(port)
}

#[tokio::test]
async fn board_that_stays_quiet_fails_and_other_ids_do_not_apply() {
    let resets = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&resets);
    let reset = Reset::call(move |scenario| {
        noted.lock().unwrap().push(scenario.name().to_owned());
        Ok(())
    });
    let only = ["registers", "id-of-128-characters", "wrong-key", "server-of-another-name"];
    let card = board(78, reset).only(only).run(|_| ()).await.unwrap();
    let outcomes: Vec<_> = card.scenarios().iter().map(|result| (result.name(), result.outcome())).collect();
    let expected = [
        ("registers", Outcome::Failed),
        ("wrong-key", Outcome::Failed),
        ("id-of-128-characters", Outcome::NotApplicable),
        ("server-of-another-name", Outcome::Failed),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(*resets.lock().unwrap(), ["registers", "wrong-key", "server-of-another-name"]);
}

#[tokio::test]
async fn reset_command_learns_the_settings_and_its_failure_ends_the_run() {
    let reset = Reset::command("echo $DPS_REGISTRATION_ID on $DPS_HTTPS_PORT; exit 9");
    let error = board(79, reset).run(|_| ()).await.unwrap_err().to_string();
    assert!(error.contains("restarts the board ended with exit status: 9"), "{error}");
    assert!(error.contains("board-7 on "), "{error}");
}
