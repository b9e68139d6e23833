//! The plots of docs/performance.md, as SVG. They are on paper of their own, and so can be read on dark pages too.

use std::{fs, ops::Range, path::Path};

use plotters::prelude::*;

use crate::{
    common::Failed,
    measure::Taken,
    report::{CPU, Figure, Finding, Grown, PEAK, Report, WALL},
};

const SIZE: (u32, u32) = (820, 440);
const INK: RGBColor = RGBColor(32, 36, 44);
const LIGHT: RGBColor = RGBColor(208, 212, 220);
const BLUE: RGBColor = RGBColor(0, 94, 184);
const ORANGE: RGBColor = RGBColor(194, 88, 0);

/// A line: its name, its colour, and what it shows of a size of work.
type Line = (&'static str, RGBColor, fn(&Grown) -> &Taken);
const LINES: [Line; 2] =
    [("first sweep", BLUE, |grown| &grown.first), ("the same again, nothing changed", ORANGE, |grown| &grown.again)];

/// Writes those for which there are figures.
pub fn write(folder: &Path, report: &Report) -> Result<(), Failed> {
    fs::create_dir_all(folder)?;
    if !report.grown.is_empty() {
        lines(&folder.join("time.svg"), "wall time, s", WALL, 0.01..20.0, &report.grown)?;
        lines(&folder.join("processor.svg"), "processor, s", CPU, 0.01..20.0, &report.grown)?;
        lines(&folder.join("memory.svg"), "peak of resident memory, MiB", PEAK, 1.0..100.0, &report.grown)?;
    }
    bars(&folder.join("ratios.svg"), &report.findings)
}

/// Both axes are logarithmic: what is linear rises by one decade for each.
fn lines(path: &Path, title: &str, figure: Figure, range: Range<f64>, grown: &[Grown]) -> Result<(), Failed> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let text = ("sans-serif", 15).into_font().color(&INK);
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{title}, by tasks in the listing"), ("sans-serif", 18).into_font().color(&INK))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((800.0..400_000.0).log_scale(), range.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("tasks")
        .y_desc(title)
        .label_style(text.clone())
        .axis_style(INK)
        .bold_line_style(LIGHT)
        .light_line_style(WHITE)
        .x_label_formatter(&|tasks| format!("{tasks:.0}"))
        .y_label_formatter(&|value| crate::report::digits(*value))
        .draw()?;
    for (name, colour, of) in LINES {
        let points = || grown.iter().map(|size| (f64::from(size.tasks), figure(of(size))));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(text)
        .background_style(WHITE)
        .border_style(LIGHT)
        .draw()?;
    root.present()?;
    Ok(())
}

/// Each comparison with a peer as a part of what it may be at most.
fn bars(path: &Path, findings: &[Finding]) -> Result<(), Failed> {
    const ROW: u32 = 34;
    const TOP: i32 = 52;
    let compared: Vec<(&Finding, f64)> = findings
        .iter()
        .filter(|finding| finding.figure.contains(" x "))
        .filter_map(|finding| Some((finding, finding.target?)))
        .collect();
    let root = SVGBackend::new(path, (1000, TOP as u32 + 24 + ROW * compared.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = ("sans-serif", 14).into_font().color(&INK);
    let title = "what it takes, in parts of the target (the line), logarithmic: median, and range of the runs";
    root.draw(&Text::new(title, (16, 16), ("sans-serif", 16).into_font().color(&INK)))?;
    // Logarithmic, from a tenth of the target to thirty times as much, so that neither a good nor a bad one is cut off.
    let (left, decade) = (440.0, 180.0);
    let at = |part: f64| (left + (part.log10() + 1.0).clamp(0.0, 2.5) * decade) as i32;
    for (n, (finding, target)) in compared.iter().enumerate() {
        let y = TOP + n as i32 * ROW as i32;
        let label = format!("{}: {}", short(finding.work), finding.figure);
        root.draw(&Text::new(label, (16, y), text.clone()))?;
        let colour = if finding.spread.median <= *target { BLUE } else { ORANGE };
        let part = finding.spread.median / target;
        root.draw(&Rectangle::new([(at(0.1), y), (at(part), y + 16)], colour.filled()))?;
        let said = format!("{} x", crate::report::digits(part));
        root.draw(&Text::new(said, (at(part.max(finding.spread.most / target)) + 8, y), text.clone()))?;
        let range = [(at(finding.spread.least / target), y + 8), (at(finding.spread.most / target), y + 8)];
        root.draw(&PathElement::new(range, INK.stroke_width(2)))?;
    }
    let bottom = TOP + compared.len() as i32 * ROW as i32;
    root.draw(&PathElement::new([(at(1.0), TOP - 8), (at(1.0), bottom)], INK.stroke_width(1)))?;
    root.present()?;
    Ok(())
}

fn short(work: &str) -> &str {
    work.split(", ").next().unwrap_or(work)
}
