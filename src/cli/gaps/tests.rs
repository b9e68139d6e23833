use super::{windows::sample, *};

fn text(lines: &[Vec<Piece>]) -> String {
    lines.iter().map(|line| line.iter().map(Piece::text).collect::<String>() + "\n").collect()
}

#[test]
fn each_gap_is_said_with_why_and_what_to_do() {
    let report = text(&report(&sample::expected(), sample::now()));
    assert_eq!(report, include_str!("golden.txt"), "\n{report}");
}
