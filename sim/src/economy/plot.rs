//! The plot beside the report: three groups of bars, each figure with its spread over the seeds.

use super::report::{Report, Spread};

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 340.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 250.0;

/// A group of bars under one title.
struct Panel {
    title: &'static str,
    unit: &'static str,
    bars: Vec<(&'static str, Spread)>,
}

/// The plot as SVG.
pub(crate) fn draw(report: &Report) -> String {
    let panels = [
        Panel {
            title: "Return of a ring that pays itself, by roles held",
            unit: "largest over the grid, part of what it paid",
            bars: [
                ("contributors", "wash_roi_max_contributor"),
                ("+ developer", "wash_roi_max_developer"),
                ("+ operator", "wash_roi_max_operator"),
                ("+ both", "wash_roi_max_developer_operator"),
            ]
            .map(|(label, name)| (label, report.spread("P4", name)))
            .to_vec(),
        },
        Panel {
            title: "Disputes",
            unit: "OPEN gained",
            bars: vec![
                ("honest challenger", report.spread("P10", "honest_challenger_gain_open")),
                ("griefer", negative(report.spread("P10", "griefer_loss_open"))),
                ("its victim", report.spread("P10", "challenged_honest_operator_gain_open")),
            ],
        },
        Panel {
            title: "Income of the dishonest over the honest",
            unit: "1 is no gain",
            bars: vec![
                ("split", report.spread("P2", "split_gain_names")),
                ("copies", report.spread("P3", "copy_gain_exact")),
                ("edits", report.spread("P3", "copy_gain_near_max")),
                ("late stake", report.spread("P7", "late_staker_yield_over_steady")),
                ("cabal", report.spread("P5", "cabal_share_retention")),
            ],
        },
    ];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let width = WIDTH / panels.len() as f64;
    for (number, panel) in panels.iter().enumerate() {
        panel_into(&mut svg, panel, number as f64 * width, width);
    }
    svg.push_str("</svg>\n");
    svg
}

fn negative(spread: Spread) -> Spread {
    Spread { least: -spread.most, mean: -spread.mean, most: -spread.least }
}

fn panel_into(svg: &mut String, panel: &Panel, left: f64, width: f64) {
    let most = panel.bars.iter().map(|(_, s)| s.most).fold(0.0, f64::max);
    let least = panel.bars.iter().map(|(_, s)| s.least).fold(0.0, f64::min);
    let range = (most - least).max(f64::MIN_POSITIVE);
    let y = |value: f64| BOTTOM - (value - least) / range * (BOTTOM - TOP);
    let text = |svg: &mut String, x: f64, y: f64, style: &str, words: &str| {
        svg.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>\n"));
    };
    text(svg, left + 14.0, 20.0, "font-weight=\"bold\"", panel.title);
    text(svg, left + 14.0, 36.0, "fill=\"#555555\"", panel.unit);
    let step = (width - 28.0) / panel.bars.len() as f64;
    for (number, (label, Spread { least, mean, most })) in panel.bars.iter().enumerate() {
        let x = left + 14.0 + number as f64 * step;
        let (top, bottom) = (y(mean.max(0.0)), y(mean.min(0.0)));
        let bar = step * 0.6;
        let fill = if *mean < 0.0 { "#b3452c" } else { "#2c6db3" };
        svg.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{bar:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>\n\
             <line x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#222222\"/>\n",
            (bottom - top).max(0.5),
            y(*most),
            y(*least),
            middle = x + bar / 2.0,
        ));
        text(svg, x, HEIGHT - 62.0, "", &format!("{mean:.3}"));
        let turned = format!("transform=\"rotate(20 {x:.1} {:.1})\"", HEIGHT - 46.0);
        text(svg, x, HEIGHT - 46.0, &turned, label);
    }
    let (zero, right) = (y(0.0), left + width - 14.0);
    svg.push_str(&format!(
        "<line x1=\"{:.1}\" x2=\"{right:.1}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\" stroke=\"#222222\"/>\n",
        left + 14.0
    ));
}
