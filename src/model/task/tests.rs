use super::*;

fn listing() -> ListingKey {
    ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage }
}

#[test]
fn an_account_name_is_a_plain_word() {
    let longest = "a".repeat(63);
    for name in ["a", "0", "main-2_b", longest.as_str()] {
        let parsed = AccountName::parse(name).unwrap();
        assert_eq!(
            (parsed.as_str(), parsed.to_string(), format!("{parsed:?}")),
            (name, name.into(), format!("{name:?}"))
        );
    }
    let too_long = "a".repeat(64);
    for name in ["", "-a", "_a", "A", "aB", "a b", "a/b", "a.b", "..", "ä", "a\0", too_long.as_str()] {
        let error = AccountName::parse(name).unwrap_err().to_string();
        assert!(error.contains("1 to 63"), "{name:?}: {error}");
    }
}

#[test]
fn the_two_exports_have_their_words_and_operations() {
    assert_eq!(Export::ALL.map(Export::as_str), ["usage-detail", "usage"]);
    let actions = ["DescribeUserUsageDetailDataExportTask", "DescribeUserUsageDataExportTask"];
    assert_eq!(Export::ALL.map(Export::action), actions);
    assert_eq!(Export::ALL.map(|export| Export::parse(export.as_str())), Export::ALL.map(Ok));
    assert!(Export::parse("Usage").is_err());
}

#[test]
fn an_id_is_any_text_that_is_neither_empty_nor_without_end() {
    let longest = "x".repeat(65_536);
    for text in ["1", " ", "../../etc", "编号", longest.as_str()] {
        let id = TaskId::parse(text).unwrap();
        assert_eq!((id.as_str(), id.to_string(), format!("{id:?}")), (text, text.into(), format!("{text:?}")));
    }
    assert!(TaskId::parse("").is_err());
    assert!(TaskId::parse(&"x".repeat(65_537)).is_err());
}

#[test]
fn a_task_is_shown_as_it_is_named_on_the_command_line() {
    let task = TaskKey { listing: listing(), id: TaskId::parse("17").unwrap() };
    assert_eq!((listing().to_string(), task.to_string()), ("main/usage".into(), "main/usage/17".into()));
}

#[test]
fn a_status_is_the_last_word_in_lower_case_known_or_not() {
    for (text, status, finished) in [
        (" Created ", Status::Created, false),
        ("SUCCESS", Status::Success, true),
        ("failed", Status::Failed, true),
        ("Baking", Status::Other("baking".into()), false),
    ] {
        let parsed = Status::parse(text).unwrap();
        assert_eq!(parsed, status);
        assert_eq!(
            (parsed.as_str(), parsed.to_string()),
            (text.trim().to_lowercase().as_str(), text.trim().to_lowercase())
        );
        assert_eq!((parsed.is_finished(), parsed.is_known()), (finished, text != "Baking"), "{text}");
    }
    assert!(Status::parse("").is_err() && Status::parse(" \t").is_err());
    assert_eq!(Status::parse(&"ä".repeat(65)).unwrap().as_str(), "ä".repeat(64));
}

#[test]
fn text_that_is_stored_holds_no_nul_and_ends_somewhere() {
    assert_eq!(clean("a\0b", 9), "a\u{FFFD}b");
    assert_eq!(clean("äöü", 2), "äö");
}
