//! The keys of a list of devices.

use std::io::Write as _;
use std::process::{ChildStdin, Stdio};

use dps_client::GroupDeriver;
use dps_core::{Key, RegistrationId};
use rustix::process::Signal;

use super::run::{DEVICE_ID, DEVICE_KEY, Finished, Folder, GROUP_KEY, Run, Running, dps, finish, mode_of, send};

struct List {
    folder: Folder,
}

impl List {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let folder = Folder::new();
        folder.write("group.key", GROUP_KEY);
        folder.write("ids", content);
        Self { folder }
    }

    fn derive(&self, words: &[&str]) -> Finished {
        self.command(words).run()
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let (key, ids, out) = (self.folder.file("group.key"), self.folder.file("ids"), self.folder.file("out"));
        let mut command = dps(["derive-key", "--group-key-file", &key, "--ids", &ids, "--out", &out]);
        command.args(words);
        command
    }

    fn out(&self) -> String {
        self.folder.read("out")
    }

    /// Returns the ids of the CSV output, in their order.
    fn ids(&self) -> Vec<String> {
        let out = self.out();
        let mut lines = out.lines();
        assert_eq!(lines.next(), Some("registration_id,device_key"));
        lines.map(|line| line.split_once(',').unwrap().0.to_owned()).collect()
    }

    /// Returns the command with ids from stdin.
    fn command_with_stdin(&self) -> std::process::Command {
        let (key, out) = (self.folder.file("group.key"), self.folder.file("out"));
        dps(["derive-key", "--group-key-file", &key, "--ids", "-", "--out", &out])
    }

    /// Starts the program, which reads ids from stdin until that is dropped. Its output file has been started.
    fn start_with_stdin(&self) -> (Running, ChildStdin) {
        let mut child = self.command_with_stdin().stdin(Stdio::piped()).start();
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe can buffer: once all of it is written, the program is reading.
        let ids: String = (0..20_000).map(|number| format!("dev-{number}\n")).collect();
        stdin.write_all(ids.as_bytes()).unwrap();
        (child, stdin)
    }

    fn left_behind(&self) -> Vec<std::path::PathBuf> {
        self.folder
            .names()
            .into_iter()
            .filter(|name| name.to_str() != Some("group.key") && name.to_str() != Some("ids"))
            .collect()
    }
}

#[test]
fn bulk_derives_a_hundred_thousand_ids_and_reports_bad_rows() {
    let mut ids = String::new();
    for number in 1..=100_000 {
        match number {
            70_007 => ids.push_str("dev 70007\n"),
            99_999 => ids.push_str(&format!("{DEVICE_ID}\n")),
            100_000 => ids.push_str("DEV-1\n"),
            _ => ids.push_str(&format!("dev-{number}\n")),
        }
    }
    let list = List::new(&ids);
    let done = list.derive(&["--json"]).code(10);
    let summary = done.json();
    assert_eq!(summary["rows"], 100_000);
    assert_eq!(summary["written"], 99_998);
    assert_eq!((&summary["invalid"], &summary["caseDuplicates"]), (&1.into(), &1.into()));
    assert_eq!(summary["findings"][0]["line"], 70_007);
    assert!(done.stderr.starts_with("line 70007: \"dev 70007\": the character at offset 3"), "{}", done.stderr);
    assert!(done.stderr.contains("line 100000: \"DEV-1\" differs from line 1 only in letter case"), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 2);

    let expected: Vec<_> = ids.lines().filter(|id| !id.contains(' ') && *id != "DEV-1").collect();
    assert_eq!(list.ids(), expected, "the order of the input is kept");
    let deriver = GroupDeriver::new(&Key::from_base64(GROUP_KEY).unwrap());
    for row in list.out().lines().skip(1) {
        let (id, key) = row.split_once(',').unwrap();
        let mut expected = [0; 44];
        deriver.write_base64(RegistrationId::new(id).unwrap(), &mut expected);
        assert_eq!(key.as_bytes(), expected, "{id}");
    }
    assert!(list.out().contains(&format!("\n{DEVICE_ID},{DEVICE_KEY}\n")));
    assert_eq!(mode_of(list.folder.file("out")), 0o600);
    assert_eq!(list.left_behind(), [std::path::Path::new("out")]);
}

#[test]
fn bulk_accepts_byte_order_marks_crlf_quotes_and_headers() {
    let expected = ["dev-1", "dev-2"];
    for content in [
        "dev-1\ndev-2\n",
        "dev-1\r\ndev-2",
        "\u{feff}registrationId\r\ndev-1\r\ndev-2\r\n",
        "\u{feff}\"registration_id\",\"note\"\r\n\"dev-1\",\"a \"\"b\"\", c\"\r\n\"dev-2\",\r\n",
        "site;Registration ID\nx;dev-1\ny;dev-2\n",
        "\n\ndev-1\n\ndev-2\n\n",
    ] {
        let list = List::new(content);
        let done = list.derive(&[]).code(0);
        assert_eq!(list.ids(), expected, "{content:?}");
        assert_eq!(done.stderr, "", "{content:?}");
    }
    let list = List::new("serial,device\nx,dev-1\ny,dev-2\n");
    list.derive(&["--column", "2"]).code(0);
    assert_eq!(list.ids(), expected);
}

#[test]
fn bulk_jsonl_has_one_object_per_device() {
    let list = List::new(format!("{DEVICE_ID}\n"));
    list.derive(&["--format", "jsonl"]).code(0);
    let expected = format!("{{\"registrationId\":\"{DEVICE_ID}\",\"deviceKey\":\"{DEVICE_KEY}\"}}\n");
    assert_eq!(list.out(), expected);
}

#[test]
fn bulk_reports_repeated_ids_and_other_spellings() {
    let list = List::new("dev-1\nDEV-1\ndev-2\ndev-1\ndev-3\n");
    let done = list.derive(&["--json"]).code(10);
    let summary = done.json();
    assert_eq!((&summary["duplicates"], &summary["caseDuplicates"]), (&1.into(), &1.into()));
    assert_eq!(list.ids(), ["dev-1", "dev-2", "dev-3"]);
    assert!(done.stderr.contains("line 2: \"DEV-1\" differs from line 1 only in letter case"), "{}", done.stderr);
    assert!(done.stderr.contains("line 4: \"dev-1\" is already on line 1"), "{}", done.stderr);
}

#[test]
fn bulk_warns_once_about_upper_case_and_lowercase_converts() {
    let list = List::new("Dev-1\nDev-2\ndev-3\n");
    let done = list.derive(&[]).code(0);
    assert_eq!(list.ids(), ["Dev-1", "Dev-2", "dev-3"]);
    assert!(done.stderr.starts_with("warning: 2 ids have upper-case letters"), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1);

    let list = List::new("Dev-1\ndev-2\n");
    let done = list.derive(&["--lowercase"]).code(0);
    assert_eq!((list.ids(), done.stderr.as_str()), (vec!["dev-1".to_owned(), "dev-2".to_owned()], ""));
}

#[test]
fn bulk_lists_the_first_findings_and_counts_all() {
    let list = List::new("bad id\n".repeat(1000) + "dev-1\n");
    let done = list.derive(&["--json"]).code(10);
    let summary = done.json();
    assert_eq!(summary["invalid"], 1000);
    let listed = summary["findings"].as_array().unwrap().len();
    assert!(listed < 100);
    assert_eq!(summary["findingsOmitted"], 1000 - listed);
    assert!(done.stderr.contains(&format!("and {} more", 1000 - listed)));
}

#[test]
fn bulk_keeps_an_existing_file_unless_forced() {
    let list = List::new("dev-1\n");
    list.folder.write("out", "mine");
    let done = list.derive(&[]).code(7);
    assert!(done.stderr.contains("already exists"), "{}", done.stderr);
    assert_eq!(list.out(), "mine");
    list.derive(&["--force"]).code(0);
    assert_eq!(list.ids(), ["dev-1"]);
}

#[test]
fn bulk_writes_nothing_for_a_list_without_ids() {
    for content in ["", "\n\n", "registrationId\n"] {
        let list = List::new(content);
        let error = list.derive(&["--json"]).code(3).error();
        assert!(error["message"].as_str().unwrap().contains("no registration id"));
        assert_eq!(list.left_behind(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn bulk_reads_ids_from_stdin() {
    let list = List::new("");
    list.command_with_stdin().run_with_input(b"dev-1\ndev-2\n").code(0);
    assert_eq!(list.ids(), ["dev-1", "dev-2"]);
}

/// A killed program cannot remove its unfinished file: that has no name, or the next run removes it.
#[test]
fn bulk_removes_keys_of_a_killed_program_in_the_next_run() {
    let list = List::new("");
    let (mut child, _stdin) = list.start_with_stdin();
    child.kill().unwrap();
    child.wait().unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(list.left_behind(), Vec::<std::path::PathBuf>::new());
    }
    list.command_with_stdin().run_with_input(b"dev-1\n").code(0);
    assert_eq!(list.ids(), ["dev-1"]);
    assert_eq!(list.left_behind(), [std::path::PathBuf::from("out")]);
}

#[test]
fn bulk_leaves_nothing_after_an_interruption() {
    for signal in [Signal::INT, Signal::TERM] {
        let list = List::new("");
        let (child, _stdin) = list.start_with_stdin();
        send(&child, signal);
        let done = finish(child);
        assert_eq!((done.code, done.stderr.trim_end()), (130, "error: interrupted"));
        assert_eq!(list.left_behind(), Vec::<std::path::PathBuf>::new());
    }
}
