//! Derives the keys of a long list: `dps derive-key --ids` and a loop over the `hmac`, `sha2` and `base64` crates that reads
//! the same list and writes the same file, in turn. Arguments: the program `dps`, and the number of ids (a million).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use dps_benches::{GROUP_KEY, ids, line_by_crates, prepare_by_crates};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<()> {
    let (program, count) = match arguments.as_slice() {
        [program] => (program, 1_000_000),
        [program, count] => (program, count.parse()?),
        _ => return Err("the program dps is needed, and perhaps how many ids".into()),
    };
    let list = List::new(count)?;
    let mut rows: Vec<(String, Vec<Cost>)> = Vec::new();
    for round in 0..ROUNDS {
        for (index, (name, cost)) in list.round(program)?.into_iter().enumerate() {
            if round == 0 {
                rows.push((name, Vec::new()));
            }
            rows[index].1.push(cost);
        }
    }
    list.compare()?;
    print(&rows, count);
    Ok(())
}

/// The times of one pass over the list.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// A list of ids in a temporary directory.
struct List {
    folder: TempDir,
}

impl List {
    fn new(count: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut file = BufWriter::new(File::create(folder.path().join("ids"))?);
        for id in ids(count) {
            writeln!(file, "{id}")?;
        }
        file.flush()?;
        std::fs::write(folder.path().join("key"), GROUP_KEY)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every row of the table once. `taskset` keeps a program on one processor, where there is one.
    fn round(&self, program: &str) -> Result<Vec<(String, Cost)>> {
        let by_crates = cost(UsageWho::RUSAGE_SELF, || by_crates(&self.path("ids"), &self.path("by-crates")))?;
        let mut rows = vec![("hmac, sha2, base64: one thread".to_owned(), by_crates)];
        rows.push((
            "dps derive-key --ids".to_owned(),
            cost(UsageWho::RUSAGE_CHILDREN, || self.derive(Command::new(program)))?,
        ));
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", "0", program]);
        if Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok() {
            let cost = cost(UsageWho::RUSAGE_CHILDREN, || self.derive(pinned))?;
            rows.push(("dps derive-key --ids, one processor".to_owned(), cost));
        }
        Ok(rows)
    }

    fn derive(&self, mut program: Command) -> Result<()> {
        let (key, ids, out) = (self.path("key"), self.path("ids"), self.path("by-dps"));
        program.arg("derive-key").arg("--group-key-file").arg(key).arg("--ids").arg(ids).arg("--out").arg(out);
        let done = program.arg("--force").output()?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into()) }
    }

    fn compare(&self) -> Result<()> {
        let same = std::fs::read(self.path("by-dps"))? == std::fs::read(self.path("by-crates"))?;
        if same { Ok(()) } else { Err("dps and the crates derive other keys".into()) }
    }
}

fn by_crates(ids: &Path, out: &Path) -> Result<()> {
    let key = prepare_by_crates();
    let mut output = BufWriter::with_capacity(64 * 1024, File::create(out)?);
    output.write_all(b"registration_id,device_key\n")?;
    let mut row = Vec::new();
    for id in BufReader::with_capacity(64 * 1024, File::open(ids)?).lines() {
        row.clear();
        line_by_crates(&key, &id?, &mut row);
        output.write_all(&row)?;
    }
    output.into_inner()?.sync_all()?;
    Ok(())
}

fn cost(who: UsageWho, work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (start, before) = (Instant::now(), cpu(&getrusage(who)?));
    work()?;
    Ok(Cost { wall: start.elapsed(), cpu: cpu(&getrusage(who)?) - before })
}

fn cpu(used: &Usage) -> Duration {
    Duration::from_micros((used.user_time() + used.system_time()).num_microseconds().unsigned_abs())
}

/// Returns the best of the rounds, since other processes can only slow it down.
fn print(rows: &[(String, Vec<Cost>)], count: usize) {
    let best = |costs: &[Cost], of: fn(&Cost) -> Duration| costs.iter().map(of).min().unwrap_or_default();
    let figures = rows.iter().map(|(name, costs)| (name, best(costs, |cost| cost.wall), best(costs, |cost| cost.cpu)));
    let figures: Vec<_> = figures.collect();
    let nanos = |duration: Duration| duration.as_nanos() as f64 / count as f64;
    println!("{count} ids, best of {ROUNDS} rounds");
    println!("{:<36} {:>10} {:>9} {:>7} {:>9} {:>7}", "", "rows/s", "ns/row", "ratio", "CPU/row", "ratio");
    for (name, wall, cpu) in &figures {
        let (first_wall, first_cpu) = (figures[0].1, figures[0].2);
        println!(
            "{name:<36} {:>10.0} {:>9.0} {:>6.2}x {:>9.0} {:>6.2}x",
            count as f64 / wall.as_secs_f64(),
            nanos(*wall),
            wall.as_secs_f64() / first_wall.as_secs_f64(),
            nanos(*cpu),
            cpu.as_secs_f64() / first_cpu.as_secs_f64(),
        );
    }
}
