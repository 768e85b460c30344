//! A part of a test in a process of its own: this program once more, with its settings in the environment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Before the names of the settings.
const PREFIX: &str = "DPS_TEST_";

/// A process that runs one test.
pub(crate) struct Part(Child, BufReader<ChildStdout>);

impl Part {
    /// Starts the test, which must be ignored otherwise.
    pub(crate) fn start(test: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(test, settings, &[])
    }

    /// The same with other variables in its environment too.
    pub(crate) fn start_with(test: &str, settings: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        // Where the tests run in the background of a shell, they inherit that SIGINT is ignored.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        command.envs(settings.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)));
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self(child, said)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until the process has come to this point.
    pub(crate) fn wait_for(&mut self, point: &str) {
        let mut line = String::new();
        while !line.ends_with(&format!("{point}\n")) {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "it ended before it was {point}");
        }
    }

    /// Lets a process go on that is at a point.
    pub(crate) fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process, which must come within `limit`.
    pub(crate) fn end_within(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < limit, "the process has not ended");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A setting of this process; `None` in one that no test started.
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(format!("{PREFIX}{name}")).ok()
}

/// Stops until the test goes on.
#[expect(clippy::print_stdout, reason = "the test reads it")]
pub(crate) fn stop_at(point: &str) {
    println!("{point}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
