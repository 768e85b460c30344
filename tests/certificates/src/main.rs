//! Registers devices with certificates from every language, and prints a table; fails if a registration fails.
//!
//! `certificates DPS C_CLIENT PYTHON SCRIPT`: the program `dps`; the C program of the fault matrix; an interpreter with the Python
//! package, and the script for it. The rows have every pair of values of two columns.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table for the terminal")]

mod client;
mod device;
mod rows;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use client::{Client, Service, TRANSPORTS};
use device::{CHAINS, Device, KEYS, Root};
use dps_emulator::{Emulator, EmulatorOptions, Limits, TlsVersion};

const TLS: [(&str, TlsVersion); 2] = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
const ENROLLMENTS: [&str; 2] = ["individual", "group"];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} registrations failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("certificates: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<usize, Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [dps, c, python, script] = arguments.try_into().map_err(|_| "four arguments are needed")?;
    let clients = [Client::Rust, Client::C(c), Client::Python(python, script), Client::Program(dps)];
    let sizes = [clients.len(), ENROLLMENTS.len(), TRANSPORTS.len(), KEYS.len(), CHAINS.len(), TLS.len()];
    let folder = tempfile::tempdir()?;
    let services = [service(TLS[0].1, folder.path()).await?, service(TLS[1].1, folder.path()).await?];
    let roots = [Root::verified(&services[0].emulator)?, Root::verified(&services[1].emulator)?];
    println!("{:<7} {:<10} {:<7} {:<8} {:<7} {:<4} result", "client", "enrollment", "over", "key", "chain", "TLS");
    let mut failed = 0;
    for (number, [client, enrollment, transport, key, chain, tls]) in rows::pairwise(sizes).into_iter().enumerate() {
        let place = (&services[tls].emulator, &roots[tls], folder.path());
        let device = Device::enrolled(place, format!("dev-{number}"), (key, chain), enrollment == 0)?;
        let (client, transport) = (&clients[client], TRANSPORTS[transport]);
        let result = match client.register(&services[tls], transport, &device).await {
            Ok(id) if id == device.id => "assigned".to_owned(),
            Ok(id) => format!("FAILED: the device id is {id:?}"),
            Err(error) => format!("FAILED: {error}"),
        };
        failed += usize::from(result != "assigned");
        let (name, over, enrollment) = (client.name(), transport.0, ENROLLMENTS[enrollment]);
        let (key, chain, tls) = (KEYS[key], CHAINS[chain], TLS[tls].0);
        println!("{name:<7} {enrollment:<10} {over:<7} {key:<8} {chain:<7} {tls:<4} {result}");
    }
    Ok(failed)
}

async fn service(version: TlsVersion, folder: &Path) -> Result<Service, Box<dyn Error>> {
    let options = EmulatorOptions::new().mqtt_port(0).wss_port(0).assign_at_once(true).tls_version(version);
    let emulator = Emulator::start(options.service(|service| service.limits(Limits::none()))).await?;
    let ca_file = folder.join(format!("ca-{}.pem", emulator.endpoint().replace(':', "-")));
    std::fs::write(&ca_file, emulator.ca_pem())?;
    Ok(Service { emulator, ca_file })
}
