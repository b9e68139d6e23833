use super::*;

fn text(lines: Vec<Vec<Piece>>) -> Vec<String> {
    lines.into_iter().map(|line| line.into_iter().map(|piece| piece.text).collect()).collect()
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("TASK", 0, 0),
        Column::new("NAME", 4, 2),
        Column { header: vec!["UPDATED (UTC)".into(), "UPDATED".into()], width_min: 0, rank: 1, breaks: false },
        Column::new("FILE OR REASON", 6, 0),
    ]
}

fn rows() -> Vec<Vec<Cell>> {
    let dated = || Cell::Forms(vec!["2026-01-31 16:00".into(), "2026-01-31".into()]);
    vec![
        vec![
            Cell::whole("main/usage/1001"),
            Cell::Text("统计 一月 of all domains".into()),
            dated(),
            Cell::File { size: "8.0 MiB".into(), path: "main/usage/20260101T000000Z_20260131T000000Z_1001.csv".into() },
        ],
        vec![
            Cell::whole("main/usage/1002"),
            Cell::Text("-".into()),
            dated(),
            Cell::Text("network: it broke off".into()),
        ],
    ]
}

fn at(width: usize) -> Vec<String> {
    text(lines(&columns(), &rows(), Some(width)))
}

#[test]
fn where_there_is_room_everything_is_shown_and_columns_stand_under_each_other() {
    let free = text(lines(&columns(), &rows(), None));
    assert_eq!(
        free,
        [
            " TASK             NAME                      UPDATED (UTC)     FILE OR REASON",
            " main/usage/1001  统计 一月 of all domains  2026-01-31 16:00  8.0 MiB, main/usage/20260101T000000Z_20260131T000000Z_1001.csv",
            " main/usage/1002  -                         2026-01-31 16:00  network: it broke off",
        ]
    );
    assert_eq!(at(200), free);
}

#[test]
fn a_narrow_screen_shortens_files_names_and_times_then_drops_the_least_important() {
    assert_eq!(
        at(80),
        [
            " TASK             NAME      UPDATED     FILE OR REASON",
            " main/usage/1001  统计 一…  2026-01-31  8.0 MiB, …00Z_20260131T000000Z_1001.csv",
            " main/usage/1002  -         2026-01-31  network: it broke off",
        ]
    );
    assert_eq!(
        at(50),
        [
            " TASK             UPDATED     FILE OR REASON",
            " main/usage/1001  2026-01-31  8.0 MiB, …_1001.csv",
            " main/usage/1002  2026-01-31  network: it broke …",
        ]
    );
    assert_eq!(
        at(35),
        [" TASK             FILE OR REASON", " main/usage/1001  8.0 MiB", " main/usage/1002  network: it bro…"]
    );
}

#[test]
fn no_line_is_wider_than_the_screen_and_no_task_is_ever_shortened() {
    for width in 33..=140 {
        for line in at(width) {
            assert!(line.width() <= width, "{width}: {line}");
            assert!(line.contains("TASK ") || line.contains("main/usage/1001 ") || line.contains("main/usage/1002 "));
        }
    }
    // Where not even that fits, what must not be ambiguous sticks out.
    assert!(at(20).iter().skip(1).all(|line| line.contains("main/usage/100")));
}

#[test]
fn one_long_id_breaks_its_own_row_and_takes_no_room_from_the_others() {
    let columns = [Column::new("TASK", 0, 0).breaking(), Column::new("STATE", 0, 0), Column::new("WHY", 6, 0)];
    let row = |id: &str| vec![Cell::whole(id), Cell::whole("pending"), Cell::Text("network: it broke off".into())];
    let rows = [row("main/usage/1"), row("main/usage-detail/8b1a9953-c461-4296-a2e0-0e7f6a3c1d22")];
    assert_eq!(
        text(lines(&columns, &rows, Some(60))),
        [
            " TASK                            STATE    WHY",
            " main/usage/1                    pending  network: it brok…",
            " main/usage-detail/8b1a9953-c461-4296-a2e0-0e7f6a3c1d22",
            "                                 pending  network: it brok…",
        ]
    );
    // Narrower still, it gives up its own room first.
    assert_eq!(text(lines(&columns, &rows, Some(30)))[1], " main/usage/1");
    assert_eq!(text(lines(&columns, &rows, None)).len(), 3);
}

#[test]
fn an_id_without_end_does_not_widen_its_column_for_all() {
    let rows = vec![vec![Cell::whole("x".repeat(5_000)), Cell::whole("a")], vec![Cell::whole("y"), Cell::whole("b")]];
    let shown = text(lines(&[Column::new("TASK", 0, 0), Column::new("N", 0, 0)], &rows, None));
    assert!(shown[1].starts_with(&format!(" {}", "x".repeat(5_000))));
    assert_eq!(shown[2].width(), 1 + WHOLE_WIDTH_MAX + 2 + 1);
}

#[test]
fn a_sentence_flows_on_and_long_words_stay_whole() {
    let parts = ["one two three".to_owned(), "four".to_owned(), "a/path/that/is/rather/long.csv".to_owned()];
    assert_eq!(flow("> ", &parts, 4, None), ["> one two three, four, a/path/that/is/rather/long.csv"]);
    assert_eq!(flow("> ", &parts, 4, Some(24)), ["> one two three, four,", "    a/path/that/is/rather/long.csv"]);
    assert_eq!(
        flow("> ", &parts, 4, Some(12)),
        ["> one two", "    three,", "    four,", "    a/path/that/is/rather/long.csv"]
    );
    assert_eq!(flow("", &["a b c d e f".to_owned()], 0, Some(5)), ["a b c", "d e f"]);
    let told = [format!("do `a b` at {}", glued("10 11"))];
    assert_eq!(flow("", &told, 0, Some(9)), ["do `a b`", "at 10 11"]);
    assert_eq!(flow("", &told, 0, Some(5)), ["do", "`a b`", "at", "10 11"]);
    assert_eq!(flow("only", &[], 4, Some(5)), ["only"]);
}
