//! (pure) Results as a picture: one panel of bars for each figure that most people ask for first.

use std::fmt::Write;

use super::Results;
use crate::figures::{self, Figure};

/// Scenario, index of its figure, and the panel's title.
const PANELS: [(&str, &str, &str); 4] = [
    (
        "rate-4000",
        "CPU of both sidecars, µs a request",
        "CPU of both sidecars at 4,000 requests a second, µs a request",
    ),
    ("rate-4000", "p99, µs", "99 % of answers at 4,000 requests a second within, µs"),
    ("max", "a second", "Requests a second, 64 connections (more is better)"),
    ("bulk", "CPU of both sidecars, ms a GiB", "CPU of both sidecars for bulk, ms a GiB"),
];

const WIDTH: u32 = 720;
const LABEL_WIDTH: u32 = 110;
/// Room for the number behind the longest bar.
const NUMBER_WIDTH: u32 = 70;
const ROW: u32 = 20;
const HEAD: u32 = 34;

/// Colours follow the reader's; without a preference they are those of paper.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.b{fill:#9aa4ae}.o{fill:#0b7a75}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#5b6570}.o{fill:#2bb3ab}}";

/// The picture; panels without figures are left out.
pub(super) fn write(results: &Results) -> String {
    let (mut body, mut height) = (String::new(), 0);
    for (scenario, figure, title) in PANELS {
        let Some(figure) = figures::of_scenario(scenario).iter().find(|known| known.title == figure) else { continue };
        let bars = bars(results, scenario, figure);
        if !bars.is_empty() {
            height += panel(&mut body, height, title, &bars);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Sidecars side by side\"><style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn bars<'a>(results: &Results, scenario: &str, figure: &Figure) -> Vec<(&'a str, f64)> {
    let median = |target: &&'static str| {
        figures::spread(&results.windows, scenario, target, figure).map(|spread| (*target, spread.median))
    };
    // Without sidecars there is nothing to compare with; its rate would make all others look alike.
    results.targets.iter().filter(|target| **target != crate::targets::DIRECT).filter_map(median).collect()
}

/// Draws one panel from `top` down; returns its height.
fn panel(body: &mut String, top: u32, title: &str, bars: &[(&str, f64)]) -> u32 {
    let longest = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(body, "<text class=\"t\" x=\"4\" y=\"{}\">{title}</text>", top + 22);
    for (at, (name, value)) in (0u32..).zip(bars) {
        let y = top + HEAD + at * ROW;
        let width = value / longest * f64::from(WIDTH - LABEL_WIDTH - NUMBER_WIDTH);
        let class = if name.starts_with("tulle") { "o" } else { "b" };
        let _ = writeln!(
            body,
            "<text x=\"4\" y=\"{}\">{name}</text><rect class=\"{class}\" x=\"{LABEL_WIDTH}\" y=\"{}\" width=\"{width:.1}\" \
             height=\"{}\" rx=\"2\"/><text x=\"{:.1}\" y=\"{}\">{value:.0}</text>",
            y + 13,
            y + 2,
            ROW - 5,
            f64::from(LABEL_WIDTH) + width + 6.0,
            y + 13,
        );
    }
    HEAD + ROW * u32::try_from(bars.len()).unwrap_or_default() + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_name_figures_that_exist() {
        for (scenario, title, _) in PANELS {
            assert!(figures::of_scenario(scenario).iter().any(|figure| figure.title == title), "{scenario} {title}");
        }
    }

    #[test]
    fn the_longest_bar_fills_the_panel_and_ours_stands_out() {
        let mut body = String::new();
        let height = panel(&mut body, 0, "t", &[("tulle", 50.0), ("other", 100.0)]);
        assert_eq!(height, HEAD + 2 * ROW + 8);
        assert!(
            body.contains("class=\"o\"") && body.contains("width=\"540.0\"") && body.contains("width=\"270.0\""),
            "{body}"
        );
    }
}
