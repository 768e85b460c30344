//! A command of the device: started with its settings, its output kept within a limit, and ended with all that it
//! started.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How much of the output is kept, in bytes; the last of it.
const OUTPUT_MAX: usize = 8 * 1024;
/// How long a command has to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(1);
/// How long the rest of the output may take after the end of the command.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// A command that runs in a process group of its own. Dropped, it is killed with its group.
pub(crate) struct Process {
    child: Child,
    group: Option<u32>,
    output: Arc<Mutex<Tail>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(
        words: &[String],
        environment: impl Iterator<Item = (&'static str, String)>,
    ) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).envs(environment).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let output = Arc::<Mutex<Tail>>::default();
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| tokio::spawn(keep(stream, Arc::clone(&output)))));
        readers.extend(child.stderr.take().map(|stream| tokio::spawn(keep(stream, Arc::clone(&output)))));
        let group = child.id();
        Ok(Self { child, group, output, readers })
    }

    /// Waits until the command has ended. Can be called again, and dropped.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the command has ended, with its status.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Leaves what an ended command has started in the background as it is.
    pub(crate) fn release(mut self) {
        self.group = None;
    }

    /// Ends the command and what it started, and returns the last of its output.
    pub(crate) async fn stop(mut self) -> String {
        if self.status().is_none() {
            signal(self.group, Signal::Terminate);
            let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        }
        self.kill();
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        for reader in &mut self.readers {
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, reader).await;
        }
        self.output.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Kills what is left of the group. Its number is not given to another group while one of its processes is left.
    fn kill(&mut self) {
        signal(self.group.take(), Signal::Kill);
        let _ = self.child.start_kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Terminate,
    Kill,
}

#[cfg(unix)]
fn signal(group: Option<u32>, signal: Signal) {
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    let group = group.and_then(|group| rustix::process::Pid::from_raw(i32::try_from(group).ok()?));
    if let Some(group) = group {
        // Fails if nothing of the group is left.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Elsewhere only the command itself is killed, by its handle.
#[cfg(not(unix))]
fn signal(_: Option<u32>, _: Signal) {}

/// The last bytes of an output.
#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(OUTPUT_MAX);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    fn text(&mut self) -> String {
        let text = String::from_utf8_lossy(self.bytes.make_contiguous()).into_owned();
        if !self.is_cut {
            return text;
        }
        // The rest of a line that was cut could be that of a key, which is recognized only as a whole.
        format!("[…] {}", text.split_once('\n').map_or("", |(_, lines)| lines))
    }
}

async fn keep(mut stream: impl AsyncRead + Unpin, output: Arc<Mutex<Tail>>) {
    let mut bytes = [0; 4096];
    while let Ok(received @ 1..) = stream.read(&mut bytes).await {
        output.lock().unwrap_or_else(PoisonError::into_inner).push(&bytes[..received]);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(line: &str) -> Process {
        let words = ["sh", "-c", line].map(str::to_owned);
        Process::start(&words, [("DPS_ID_SCOPE", "0ne1".to_owned())].into_iter()).unwrap()
    }

    #[tokio::test]
    async fn output_of_both_streams_is_kept_and_cut_at_its_limit() {
        let mut process = shell("echo $DPS_ID_SCOPE; echo on stderr >&2");
        assert!(process.ended().await.unwrap().success());
        let output = process.stop().await;
        assert!(output.contains("0ne1") && output.contains("on stderr"), "{output}");

        let mut process = shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done");
        process.ended().await.unwrap();
        let output = process.stop().await;
        assert!(output.starts_with("[…] line ") && output.ends_with("line 2999\n") && output.len() < OUTPUT_MAX + 20);
        let number = |line: &str| line.split(' ').next_back().unwrap().parse::<u32>().unwrap();
        let numbers: Vec<u32> = output.lines().map(number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "the first line is whole: {output}");
    }

    #[tokio::test]
    async fn kill_ends_what_the_command_started_in_the_background() {
        let mut process = shell("(trap '' TERM; sleep 600) & exit 0");
        process.ended().await.unwrap();
        process.kill();
        // The output ends with the last process that has it.
        for reader in &mut process.readers {
            let ended = tokio::time::timeout(Duration::from_secs(60), reader).await;
            ended.expect("a process of the group is left").unwrap();
        }
    }
}
