//! Five thousand devices that are powered on at the same time: all get their hub, and each fleet causes the expected load.

use storm::{FLEETS, Figures, picture, table};

const DEVICES: u32 = 5_000;

fn run(fleet: usize) -> Figures {
    let figures = FLEETS[fleet].run(DEVICES);
    assert_eq!((figures.assigned, figures.assignments.total()), (DEVICES, DEVICES.into()), "every device is assigned");
    let last = figures.assignments.seconds_until(100);
    assert!(last > 4 * 60, "not faster than a thousand per minute: {last} s");
    figures
}

#[test]
fn fleet_without_backoff_repeats_its_peak_every_ten_seconds() {
    let figures = run(0);
    assert_eq!(figures.requests.peak(), DEVICES);
    let between = figures.requests.seconds().iter().enumerate().filter(|(second, _)| second % 10 != 0);
    assert_eq!(between.map(|(_, count)| *count).sum::<u32>(), 0);
}

#[test]
fn backoff_and_jitter_spread_the_requests() {
    let figures = run(1);
    assert!(figures.requests.total() < u64::from(DEVICES) * 25, "{}", figures.requests.total());
    let minute = &figures.requests.seconds()[60..120];
    let (least, most) = (minute.iter().min().unwrap(), minute.iter().max().unwrap());
    assert!(*least > 0 && *most < DEVICES / 10, "requests are spread evenly: {least} to {most} per second");
}

#[test]
fn every_device_honors_retry_after() {
    let figures = run(2);
    assert!(figures.requests.total() < u64::from(DEVICES) * 25, "{}", figures.requests.total());
    let seconds = figures.requests.seconds();
    assert_eq!(seconds[0], DEVICES);
    // Accepted devices poll once, a second later; all others must wait a minute.
    assert_eq!(seconds[1..60].iter().sum::<u32>(), 1000);
    let return_of_all = &seconds[60..73];
    assert!(return_of_all.iter().sum::<u32>() >= DEVICES - 1000);
    assert!(
        return_of_all.iter().all(|count| *count < DEVICES / 5),
        "spread over a fifth more than the hint: {return_of_all:?}"
    );
}

#[test]
fn random_starts_within_the_rate_are_never_refused() {
    let figures = run(3);
    assert_eq!((figures.refused, figures.requests.total()), (0, 2 * u64::from(DEVICES)));
    assert!(figures.requests.peak() < 100, "{}", figures.requests.peak());
}

#[test]
fn short_refusals_do_not_change_the_results() {
    for fleet in &FLEETS[1..] {
        assert_eq!(fleet.run(3000), fleet.run_in_full(3000), "{}", fleet.name);
    }
}

#[test]
fn table_and_picture_show_every_fleet() {
    let fleets: Vec<Figures> = FLEETS.iter().map(|fleet| fleet.run(1500)).collect();
    let (table, picture) = (table::write_fleets(&fleets), picture::draw(&fleets));
    assert_eq!(table.lines().count(), 2 + FLEETS.len());
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
    for (index, fleet) in fleets.iter().enumerate() {
        assert!(table.contains(fleet.name) && picture.contains(fleet.name));
        // Once in the legend, once for the first minutes, once for all.
        assert_eq!(picture.matches(&format!("class=\"line fleet{index}\"")).count(), 3);
    }
}
