//! The two READMEs say the same: headings, commands, outputs, configuration, tables, paragraphs and links are held against each
//! other, and so are the code words and the numbers in each.

#[path = "readmes/compare.rs"]
mod compare;
#[path = "readmes/parts.rs"]
mod parts;

use compare::differences;
use parts::{Kind, parts, words};

const ENGLISH: &str = include_str!("../README.md");
const CHINESE: &str = include_str!("../README.zh-CN.md");

#[test]
fn the_readme_in_chinese_says_what_the_english_one_says() {
    let english = parts(ENGLISH);
    let count = |kind: fn(&Kind) -> bool| english.iter().filter(|part| kind(&part.kind)).count();
    assert!(count(|k| matches!(k, Kind::Heading { .. })) >= 6, "{english:?}");
    assert!(count(|k| matches!(k, Kind::Block { .. })) >= 20, "{english:?}");
    assert!(count(|k| matches!(k, Kind::Row { .. })) >= 40, "{english:?}");
    assert!(count(|k| matches!(k, Kind::Paragraph { .. })) >= 40, "{english:?}");
    let differences = differences(ENGLISH, CHINESE);
    assert!(differences.is_empty(), "change README.md and README.zh-CN.md together:\n{}", differences.join("\n"));
}

#[test]
fn each_readme_links_to_the_other_on_its_first_lines() {
    for (document, other) in [(ENGLISH, "README.zh-CN.md"), (CHINESE, "README.md")] {
        let linked = document.lines().take(3).any(|line| line.contains(&format!("]({other})")));
        assert!(linked, "the first lines do not link to {other}");
    }
}

/// A sentence that is still English, or Chinese that a page shows with gaps where its lines end.
#[test]
fn the_readme_in_chinese_is_chinese_and_a_paragraph_is_one_line() {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let mut checked = 0;
    for part in parts(CHINESE) {
        let at = part.line;
        match part.kind {
            Kind::Paragraph { text, lines } => {
                assert_eq!(lines, 1, "README.zh-CN.md:{at}: one paragraph, one line");
                let words = words(&text);
                let has_words = words.chars().any(|c| c.is_ascii_alphabetic());
                assert!(!has_words || words.chars().any(is_chinese), "README.zh-CN.md:{at} is not Chinese: {text}");
                checked += 1;
            }
            Kind::Heading { title, level } if level > 1 => {
                assert!(title.chars().any(is_chinese), "README.zh-CN.md:{at}");
            }
            _ => {}
        }
    }
    assert!(checked >= 40, "only {checked} paragraphs were found");
}

/// Both differ whichever of them was changed.
fn assert_noticed(what: &str, english: &str, chinese: &str) {
    assert!(!differences(english, chinese).is_empty(), "{what}: nobody notices");
}

fn replaced(document: &str, old: &str, new: &str) -> String {
    assert!(document.contains(old), "no longer there: {old:?}");
    document.replacen(old, new, 1)
}

#[test]
fn a_change_to_one_of_them_alone_is_noticed() {
    let changes = [
        ("a command", "cargo test --workspace\n", "cargo test --workspace\ncargo doc\n"),
        ("a command that is another", "packaging/build-deb\n", "packaging/build-rpm\n"),
        ("a shown command", "$ cdn-usaged check --online\n", "$ cdn-usaged check --online --json\n"),
        ("an output", "every task that is listed as success is stored\n", "every task is stored\n"),
        ("the configuration", "exports = [\"usage-detail\", \"usage\"]\n", "exports = [\"usage\"]\n"),
        ("a policy", "    \"Resource\": \"*\"\n", "    \"Resource\": \"acs:*\"\n"),
        ("a block's language", "```json\n{\n", "```text\n{\n"),
        ("a block", "```sh\ncargo test --workspace\n```\n", ""),
        ("a link", "](docs/reliability.md)", "](docs/operating.md)"),
        ("a row", "| 75 | ", "| 76 | x |\n| 75 | "),
        ("the first column", "| 75 | ", "| 76 | "),
        ("an event", "| `link.refreshed` | info |", "| `link.made` | info | x | |\n| `link.refreshed` | info |"),
        ("an event's name", "| `link.refreshed` | info |", "| `link.made` | info |"),
        ("an event's level", "| `link.refreshed` | info |", "| `link.refreshed` | warn |"),
        ("a field", "path, bytes, sha256, ", "path, sha256, "),
        ("a code word in a row", "`download.max_size` |", "`download.min_rate` |"),
        ("a code word in a paragraph", "`.incoming/`", "`.arriving/`"),
        ("a bold word", "\n**", "\n"),
    ];
    for (what, old, new) in changes {
        assert_noticed(what, &replaced(ENGLISH, old, new), CHINESE);
        assert_noticed(what, ENGLISH, &replaced(CHINESE, old, new));
    }
}

#[test]
fn a_heading_that_only_one_of_them_has_is_noticed() {
    for (english, chinese) in &compare::TITLES[1..] {
        for (document, title) in [(ENGLISH, english), (CHINESE, chinese)] {
            let line = format!("\n## {title}\n");
            for new in
                ["\n".to_owned(), format!("\n### {title}\n"), format!("{line}\n## {title} 2\n"), "\n## 2\n".to_owned()]
            {
                let changed = replaced(document, &line, &new);
                let (english, chinese) = if document == ENGLISH { (&*changed, CHINESE) } else { (ENGLISH, &*changed) };
                assert_noticed(title, english, chinese);
            }
        }
    }
    // The same two headings in another order.
    let (_, chinese) = compare::TITLES[1];
    let (_, after) = compare::TITLES[2];
    let swapped = CHINESE.replace(chinese, "\0").replace(after, chinese).replace('\0', after);
    assert_noticed("the order", ENGLISH, &swapped);
}

#[test]
fn a_table_of_another_shape_and_another_end_are_noticed() {
    let table = "# cdn-usaged\n\n| `a` | |\n|---|---|\n| `b` | |\n| `c` | |\n";
    assert_eq!(differences(table, table), Vec::<String>::new());
    let shapes = [
        ("a column", table.replace("| `b` | |", "| `b` | | |")),
        ("two tables", table.replace("| `b` | |\n", "| `b` | |\n\n")),
        ("a row at the end", format!("{table}| `d` | |\n")),
        ("a paragraph at the end", format!("{table}\nEnd.\n")),
    ];
    for (what, other) in shapes {
        assert_noticed(what, table, &other);
        assert_noticed(what, &other, table);
    }
}

/// A paragraph, and a number within one: what English writes in digits, Chinese does too.
#[test]
fn a_paragraph_or_a_number_that_only_one_of_them_has_is_noticed() {
    let paragraph = "\nOne more, and nothing else.\n\n## ";
    assert_noticed("a paragraph", &replaced(ENGLISH, "\n## ", paragraph), CHINESE);
    assert_noticed("a paragraph", ENGLISH, &replaced(CHINESE, "\n## ", paragraph));
    assert_noticed("a number", &replaced(ENGLISH, "within 20 seconds", "within 30 seconds"), CHINESE);
    assert_noticed("a number", ENGLISH, &replaced(CHINESE, "20 秒", "30 秒"));
}

/// Nothing but what is in a language of its own may differ: the comments of a configuration, and words around the code.
#[test]
fn words_and_comments_may_be_in_each_language() {
    let documents = [
        "# cdn-usaged\n\n[x](README.zh-CN.md)\n\n```toml\nkey = \"a # b\"   # a key\n```\n\nRun `a` or `b`.\n",
        "# cdn-usaged\n\n[x](README.md)\n\n```toml\nkey = \"a # b\"   # 一个键\n```\n\n运行 `b` 或 `a`。\n",
    ];
    assert_eq!(differences(documents[0], documents[1]), Vec::<String>::new());
    assert_noticed("a key", documents[0], &documents[1].replace("a # b", "a # c"));
    assert_noticed("a comment less", documents[0], &documents[1].replace("   # 一个键", ""));
}
