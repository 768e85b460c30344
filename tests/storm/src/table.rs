//! The tables of both storms, in Markdown.

use crate::chart::grouped;
use crate::fleet::Figures;
use crate::loopback::{Ended, Report};

/// Returns the results of the fleets, one line each.
#[must_use]
pub fn write_fleets(fleets: &[Figures]) -> String {
    let headings =
        ["behavior of each device", "requests", "per device", "peak per second", "half assigned", "all assigned"];
    let rows = fleets.iter().map(|fleet| {
        let requests = fleet.requests.total();
        [
            fleet.name.into(),
            grouped(requests),
            grouped(requests.div_ceil(fleet.devices.into())),
            grouped(fleet.requests.peak().into()),
            after(fleet.assignments.seconds_until(50)),
            after(fleet.assignments.seconds_until(100)),
        ]
    });
    markdown(headings, rows)
}

/// Returns the results of a fleet over real sockets, one line for each transport.
#[must_use]
pub fn write_sockets(report: &Report) -> String {
    let headings = ["over", "devices", "met a fault", "retried", "assigned", "failed", "requests"];
    let rows = [("HTTPS", &report.https), ("MQTT", &report.mqtt)].map(|(name, ended)| {
        let Ended { devices, faulted, retried, assigned, requests, failures } = ended;
        let [devices, faulted, retried, assigned, failed, requests] =
            [*devices, *faulted, *retried, *assigned, failures.len() as u32, *requests]
                .map(|count| grouped(count.into()));
        [name.into(), devices, faulted, retried, assigned, failed, requests]
    });
    markdown(headings, rows.into_iter())
}

/// Formats a time in minutes or hours.
fn after(seconds: u64) -> String {
    if seconds < 7200 { format!("{} min", seconds.div_ceil(60)) } else { format!("{:.1} h", seconds as f64 / 3600.0) }
}

/// Formats a table; all columns except the first contain numbers.
fn markdown<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: &[String; N]| format!("| {} |\n", cells.join(" | "));
    let rule = std::array::from_fn(|column| if column == 0 { "---".into() } else { "---:".into() });
    let mut table = line(&headings.map(str::to_owned)) + &line(&rule);
    rows.for_each(|row| table.push_str(&line(&row)));
    table
}
