//! The picture of a storm: requests over time for all fleets, in the first minutes and until the end.
//!
//! One SVG without scripts and embedded fonts, readable on light and dark pages.

use std::fmt::Write as _;

use crate::chart::{Chart, grouped, text};
use crate::fleet::Figures;

/// The registrations per minute that the service accepts.
const RATE: f64 = 1000.0;
const FIRST_SECONDS: usize = 300;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #59636e }
.heading { font-weight: 600; fill: #1f2328 }
.title { font-size: 18px }
.middle { text-anchor: middle }
.end { text-anchor: end }
.over { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
.card { fill: #ffffff; stroke: #d1d9e0 }
.grid { stroke: #e3e8ed }
.level { stroke: #59636e; stroke-dasharray: 6 4 }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round }
.fleet0 { stroke: #d55e00 }
.fleet1 { stroke: #cc8a00 }
.fleet2 { stroke: #0072b2 }
.fleet3 { stroke: #008a63 }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.heading { fill: #f0f6fc }
.over { stroke: #0d1117 }
.card { fill: #0d1117; stroke: #3d444d }
.grid { stroke: #262c36 }
.level { stroke: #9198a1 }
.fleet0 { stroke: #ff7b39 }
.fleet1 { stroke: #f0b72f }
.fleet2 { stroke: #58a6ff }
.fleet3 { stroke: #3fb98a }
}
";

/// Draws the fleets, which must have the same size.
#[must_use]
pub fn draw(fleets: &[Figures]) -> String {
    let devices = fleets.first().map_or(0, |fleet| fleet.devices);
    let first = first_minutes();
    let all = until_the_last(fleets, first.bottom() + 52.0);
    let height = all.bottom() + 20.0;
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 {height}\" role=\"img\">\n\
         <title>Requests of {} devices that are powered on at once</title>\n<style>{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"959\" height=\"{}\" rx=\"6\"/>\n",
        grouped(devices.into()),
        height - 1.0
    );
    text(
        &mut page,
        24.0,
        36.0,
        "heading title",
        &format!("{} devices are powered on at once", grouped(devices.into())),
    );
    legend(&mut page, fleets);
    first.frame(&mut page);
    all.frame(&mut page);
    for (index, fleet) in fleets.iter().enumerate() {
        let class = format!("fleet{index}");
        let seconds = fleet.requests.seconds().iter().take(FIRST_SECONDS);
        first.counts(&mut page, &class, seconds.map(|count| (*count).into()));
        all.counts(&mut page, &class, fleet.requests.minutes().into_iter());
    }
    first.level(&mut page, RATE / 60.0, "registrations that the service accepts");
    all.level(&mut page, RATE, "registrations that the service accepts");
    page.push_str("</svg>\n");
    page
}

fn legend(page: &mut String, fleets: &[Figures]) {
    for (index, fleet) in fleets.iter().enumerate() {
        let (x, y) = (24.0 + 470.0 * (index / 2) as f64, 64.0 + 22.0 * (index % 2) as f64);
        let _ =
            writeln!(page, "<path class=\"line fleet{index}\" stroke-width=\"3\" d=\"M {x} {y} {} {y}\"/>", x + 28.0);
        text(page, x + 36.0, y + 4.0, "name", fleet.name);
    }
}

fn first_minutes() -> Chart {
    let end = FIRST_SECONDS as f64;
    Chart {
        top: 142.0,
        title: "The first five minutes: requests per second, including polls".into(),
        end,
        times: (0..=5).map(|minute| (60.0 * f64::from(minute), format!("{minute} min"))).collect(),
        decades: 7,
    }
}

fn until_the_last(fleets: &[Figures], top: f64) -> Chart {
    let minutes = fleets.iter().map(|fleet| fleet.requests.minutes().len()).max().unwrap_or(1);
    // No more than a dozen marks.
    let step = [1, 2, 5, 10, 30, 60, 120, 180, 360, 720].into_iter().find(|step| minutes / step < 12).unwrap_or(1440);
    let name = |minute: usize| if step < 60 { format!("{minute} min") } else { format!("{} h", minute / 60) };
    Chart {
        top,
        title: "Until the last device has its hub: requests per minute, including polls".into(),
        end: minutes as f64,
        times: (0..=minutes).step_by(step).map(|minute| (minute as f64, name(minute))).collect(),
        decades: 7,
    }
}
