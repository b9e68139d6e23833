use super::{windows::sample, *};

fn text(lines: &[Vec<Piece>]) -> String {
    let line = |line: &Vec<Piece>| line.iter().map(Piece::text).collect::<String>().trim_end().to_owned() + "\n";
    lines.iter().map(line).collect()
}

#[test]
fn a_calendar_fits_the_width_of_the_terminal() {
    for (width, golden) in
        [(80, include_str!("golden-80.txt")), (50, include_str!("golden-50.txt")), (20, include_str!("golden-20.txt"))]
    {
        let mut picture: Vec<_> = sample::expected().iter().flat_map(|expected| picture(expected, width)).collect();
        picture.extend(legend(width));
        let picture = text(&picture);
        assert_eq!(picture, golden, "\n{picture}");
    }
}
