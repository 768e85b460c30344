//! A chart of counts over time as SVG: time across, counts upwards on a logarithmic scale that has a zero.
//!
//! It does not depend on fleets. Colors are classes of the page that contains it.

use std::fmt::Write as _;

/// The position of the plot in the page, in its units.
const LEFT: f64 = 100.0;
const WIDTH: f64 = 828.0;
const HEIGHT: f64 = 240.0;

/// One chart.
pub(crate) struct Chart {
    /// The upper edge of the plot.
    pub(crate) top: f64,
    /// What is counted, and over what.
    pub(crate) title: String,
    /// The right end of the time.
    pub(crate) end: f64,
    /// Marks of the time, with their names.
    pub(crate) times: Vec<(f64, String)>,
    /// The upper end of the counts, as a power of ten.
    pub(crate) decades: u32,
}

impl Chart {
    /// The lower edge, names of the times included.
    pub(crate) const fn bottom(&self) -> f64 {
        self.top + HEIGHT + 24.0
    }

    /// The frame: title, marks and their names.
    pub(crate) fn frame(&self, page: &mut String) {
        text(page, LEFT, self.top - 12.0, "heading", &self.title);
        for (time, name) in &self.times {
            let x = self.x(*time);
            line(page, "grid", (x, self.top), (x, self.top + HEIGHT));
            text(page, x, self.top + HEIGHT + 18.0, "middle", name);
        }
        for count in std::iter::once(0).chain((1..=self.decades).map(|power| 10_u64.pow(power))) {
            let y = self.y(count as f64);
            line(page, "grid", (LEFT, y), (LEFT + WIDTH, y));
            text(page, LEFT - 8.0, y + 4.0, "end", &grouped(count));
        }
    }

    /// A level with which counts are compared.
    pub(crate) fn level(&self, page: &mut String, count: f64, name: &str) {
        let y = self.y(count);
        line(page, "level", (LEFT, y), (LEFT + WIDTH, y));
        text(page, LEFT + 6.0, y + 15.0, "over", name);
    }

    /// A line through counts, one per unit of time, at the middle of the unit.
    pub(crate) fn counts(&self, page: &mut String, class: &str, counts: impl Iterator<Item = u64>) {
        let _ = write!(page, "<path class=\"line {class}\" d=\"M");
        for (index, count) in counts.enumerate() {
            let _ = write!(page, " {:.1} {:.1}", self.x(index as f64 + 0.5), self.y(count as f64));
        }
        page.push_str("\"/>\n");
    }

    fn x(&self, time: f64) -> f64 {
        LEFT + WIDTH * time / self.end
    }

    /// Returns the position of the count plus one, so that a count of zero is at the bottom.
    fn y(&self, count: f64) -> f64 {
        self.top + HEIGHT * (1.0 - (count + 1.0).log10() / f64::from(self.decades))
    }
}

fn line(page: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(page, "<path class=\"{class}\" d=\"M {:.1} {:.1} {:.1} {:.1}\"/>", from.0, from.1, to.0, to.1);
}

/// A text at the left of `x`, in its `middle` or at its `end`, or as a `heading`.
pub(crate) fn text(page: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let _ = writeln!(page, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

/// Returns a number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 12_345, 3_000_000_000].map(grouped),
            ["0", "999", "1,000", "12,345", "3,000,000,000"]
        );
    }

    #[test]
    fn zero_is_at_the_bottom_and_the_maximum_at_the_top() {
        let chart = Chart { top: 100.0, title: String::new(), end: 10.0, times: Vec::new(), decades: 3 };
        assert_eq!(chart.y(0.0), 100.0 + HEIGHT);
        assert_eq!(chart.y(999.0), 100.0);
        assert!(chart.y(9.0) > chart.y(10.0));
    }
}
