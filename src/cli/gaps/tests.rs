use super::{windows::sample, *};

fn text(lines: &[Vec<Piece>]) -> String {
    lines.iter().map(|line| line.iter().map(Piece::text).collect::<String>() + "\n").collect()
}

#[test]
fn each_gap_is_said_with_why_and_what_to_do() {
    let expected = sample::expected();
    let mut total = Total::default();
    expected.iter().for_each(|expected| total.add(expected));
    let mut report: Vec<_> = expected.iter().flat_map(|expected| lines(expected, sample::now())).collect();
    report.push(total.line());
    let report = text(&report);
    assert_eq!(report, include_str!("golden.txt"), "\n{report}");
}
