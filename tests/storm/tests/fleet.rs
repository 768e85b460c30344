//! Ten thousand devices at once, a small storm: all get their hub, and each way to ask is as bearable as it is said to be.

use storm::{FLEETS, Figures, picture, table};

const DEVICES: u32 = 10_000;

fn run(fleet: usize) -> Figures {
    let figures = FLEETS[fleet].run(DEVICES);
    assert_eq!((figures.assigned, figures.assignments.total()), (DEVICES, DEVICES.into()), "none is lost");
    let last = figures.assignments.seconds_until(100);
    assert!(last > 9 * 60, "a thousand a minute and no more, however they ask: {last} s");
    figures
}

#[test]
fn every_ten_seconds_in_step() {
    let figures = run(0);
    assert_eq!(figures.requests.peak(), DEVICES);
    let between = figures.requests.seconds().iter().enumerate().filter(|(second, _)| second % 10 != 0);
    assert_eq!(between.map(|(_, count)| *count).sum::<u32>(), 0);
}

#[test]
fn back_off_and_jitter_spread_the_requests_out() {
    let figures = run(1);
    assert!(figures.requests.total() < u64::from(DEVICES) * 25, "{}", figures.requests.total());
    let minute = &figures.requests.seconds()[60..120];
    let (least, most) = (minute.iter().min().unwrap(), minute.iter().max().unwrap());
    assert!(*least > 0 && *most < DEVICES / 10, "no second is silent and none is crowded: {least} to {most}");
}

#[test]
fn a_hint_is_heeded_by_all() {
    let figures = run(2);
    assert!(figures.requests.total() < u64::from(DEVICES) * 25, "{}", figures.requests.total());
    let seconds = figures.requests.seconds();
    assert_eq!(seconds[0], DEVICES);
    // Those that were let in ask once more, a second later; all others were told to come back in a minute.
    assert_eq!(seconds[1..60].iter().sum::<u32>(), 1000);
    let return_of_all = &seconds[60..73];
    assert!(return_of_all.iter().sum::<u32>() >= DEVICES - 1000);
    assert!(return_of_all.iter().all(|count| *count < DEVICES / 5), "at random over a fifth more: {return_of_all:?}");
}

#[test]
fn a_start_that_is_spread_is_never_refused() {
    let figures = run(3);
    assert_eq!((figures.refused, figures.requests.total()), (0, 2 * u64::from(DEVICES)));
    assert!(figures.requests.peak() < 100, "{}", figures.requests.peak());
}

#[test]
fn refusals_told_in_short_change_nothing() {
    for fleet in &FLEETS[1..] {
        assert_eq!(fleet.run(3000), fleet.run_in_full(3000), "{}", fleet.name);
    }
}

#[test]
fn the_table_and_the_picture_show_every_fleet() {
    let fleets: Vec<Figures> = FLEETS.iter().map(|fleet| fleet.run(1500)).collect();
    let (table, picture) = (table::of_fleets(&fleets), picture::draw(&fleets));
    assert_eq!(table.lines().count(), 2 + FLEETS.len());
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
    for (index, fleet) in fleets.iter().enumerate() {
        assert!(table.contains(fleet.name) && picture.contains(fleet.name));
        // Once in the legend, once for the first minutes, once for all.
        assert_eq!(picture.matches(&format!("class=\"line fleet{index}\"")).count(), 3);
    }
}
