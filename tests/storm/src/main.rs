//! Prints the results of a storm: `storm fleet` in virtual time, with a picture, `storm loopback` over real sockets.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is here to print")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use storm::{FLEETS, Figures, Loopback, picture, table};

/// The load on the service when a whole fleet is powered on at the same time
#[derive(Parser)]
enum Storm {
    /// In virtual time, against the emulator's rate limits, with and without backoff, hints and random starts
    Fleet {
        /// The number of devices, up to the service's limit of a million
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        devices: u32,
        /// The file for a picture
        #[arg(long, value_name = "SVG")]
        picture: Option<PathBuf>,
    },
    /// Over HTTPS and MQTT on loopback, with a fault for one device in twenty
    Loopback {
        /// The number of devices
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        devices: u32,
        /// The number of concurrent registrations
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=500))]
        at_a_time: u16,
    },
}

fn main() -> ExitCode {
    let done = match Storm::parse() {
        Storm::Fleet { devices, picture } => fleet(devices, picture),
        Storm::Loopback { devices, at_a_time } => loopback(Loopback { devices, at_a_time: at_a_time.into() }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("storm: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn fleet(devices: u32, picture: Option<PathBuf>) -> Result<(), String> {
    // Fails early if the file cannot be written, since a run takes minutes.
    if let Some(path) = &picture {
        write(path, "")?;
    }
    let run = |fleet: &storm::Fleet| {
        let start = Instant::now();
        let figures = fleet.run(devices);
        eprintln!("{}: {} requests, in {:.0} s", fleet.name, figures.requests.total(), start.elapsed().as_secs_f32());
        figures
    };
    let fleets: Vec<Figures> = FLEETS.iter().map(run).collect();
    print!("{}", table::write_fleets(&fleets));
    if let Some(path) = &picture {
        write(path, &picture::draw(&fleets))?;
    }
    match fleets.iter().find(|fleet| fleet.assigned != devices) {
        Some(fleet) => Err(format!("{}: {} of {devices} have no hub", fleet.name, devices - fleet.assigned)),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn loopback(fleet: Loopback) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let report = runtime.block_on(fleet.run())?;
    print!("{}", table::write_sockets(&report));
    println!("\n{} at a time, in {:.0} s.", fleet.at_a_time, report.took.as_secs_f32());
    report.check(fleet.devices)
}
