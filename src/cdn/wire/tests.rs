use proptest::prelude::*;

use super::*;

const JSON: &str = include_str!("../../../tests/fixtures/listing-sample.json");
const XML: &str = include_str!("../../../tests/fixtures/listing-sample.xml");

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn read(body: &str) -> Page {
    page(body.as_bytes()).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// A page that holds one row with the given members.
fn row(members: &str) -> Page {
    read(&format!(r#"{{"UsageDataPerPage":{{"TotalCount":1,"Data":{{"DataItem":[{{{members}}}]}}}}}}"#))
}

fn good(members: &str) -> TaskSnapshot {
    let page = row(members);
    assert!(page.rejected.is_empty(), "{:?}", page.rejected);
    assert_eq!(page.rows.len(), 1);
    page.rows[0].clone()
}

fn bad(members: &str) -> RejectedRow {
    let page = row(members);
    assert!(page.rows.is_empty(), "{:?}", page.rows);
    assert_eq!(page.rejected.len(), 1);
    page.rejected[0].clone()
}

#[test]
fn the_documented_samples_are_read_and_of_a_repeated_key_the_last_one_counts() {
    assert_eq!(JSON.matches("\"UpdateTime\"").count(), 2);
    for sample in [JSON, XML] {
        let page = read(sample);
        assert_eq!(page.request_id.as_deref(), Some("A91BE91F-0B34-4CBF-8E0F-A2977E15AA52"));
        assert_eq!((page.total, page.number, page.size), (Some(1), Some(1), Some(10)));
        assert_eq!(page.rejected, []);
        assert_eq!(
            page.rows,
            [TaskSnapshot {
                id: TaskId::parse("11").unwrap(),
                name: None,
                status: Status::Success,
                created_at: at("2018-10-09T06:33:38Z"),
                updated_at: at("2018-10-09T06:35:46Z"),
                range_start: at("2018-07-31T16:00:00Z"),
                range_end: at("2018-08-31T15:59:59Z"),
                link: Some(SignedUrl::parse("https://test.oss-cn-beijing.aliyuncs.com/billing_data/xxx").unwrap()),
            }]
        );
    }
}

#[test]
fn an_id_is_opaque_text_and_no_digit_of_it_is_lost() {
    for (sent, kept) in [
        ("11", "11"),
        ("\"11\"", "11"),
        ("34230590834", "34230590834"),
        ("18446744073709551616000000000000001", "18446744073709551616000000000000001"),
        ("-1", "-1"),
        ("\"A91BE91F-0B34-4CBF-8E0F-A2977\"", "A91BE91F-0B34-4CBF-8E0F-A2977"),
        ("\"\\u7528/..\\\"\"", "用/..\""),
    ] {
        assert_eq!(good(&format!(r#""TaskId":{sent},"Status":"success""#)).id.as_str(), kept);
    }
}

#[test]
fn a_row_without_a_usable_id_is_kept_raw() {
    for id in ["null", "1.5", "1e3", "{}", "[]", "[1]", "true", "\"\"", "\" \"", "\"\\ud800\""] {
        let row = bad(&format!(r#""TaskId":{id},"Status":"success""#));
        assert_eq!(row.id, None);
        assert!(row.error.contains("TaskId") && row.raw.contains("success"), "{row:?}");
    }
    assert!(bad(r#""Status":"success""#).error.contains("no TaskId"));
}

#[test]
fn a_row_without_a_usable_status_is_kept_raw_with_its_id() {
    for status in ["null", "1", "1.5", "{}", "[]", "false", "\"\"", "\"  \""] {
        let row = bad(&format!(r#""TaskId":7,"Status":{status}"#));
        assert_eq!(row.id.unwrap().as_str(), "7");
        assert!(row.error.to_lowercase().contains("status"), "{}", row.error);
    }
    assert_eq!(bad(r#""TaskId":"7""#).id.unwrap().as_str(), "7");
}

#[test]
fn a_status_may_come_in_any_case_and_any_word() {
    for (sent, kept) in [("Success", "success"), ("FAILED", "failed"), ("created", "created"), ("Expired", "expired")] {
        assert_eq!(good(&format!(r#""TaskId":1,"Status":"{sent}""#)).status.as_str(), kept);
    }
}

#[test]
fn optional_fields_may_be_missing_null_empty_or_odd() {
    for member in ["", ",\"TaskName\":null", ",\"TaskName\":\"\"", ",\"TaskName\":{}", ",\"TaskName\":\"\\udfff\""] {
        assert_eq!(good(&format!(r#""TaskId":1,"Status":"success"{member}"#)).name, None);
    }
    assert_eq!(good(r#""TaskId":1,"Status":"success","TaskName":"\u5237新""#).name.as_deref(), Some("刷新"));
    assert_eq!(good(r#""TaskId":1,"Status":"success","TaskName":12"#).name.as_deref(), Some("12"));
    let long = format!(r#""TaskId":1,"Status":"success","TaskName":"{}""#, "用".repeat(NAME_MAX_CHARS + 1));
    assert_eq!(good(&long).name.unwrap().chars().count(), NAME_MAX_CHARS);
}

#[test]
fn a_link_may_be_missing_null_empty_unreadable_or_without_a_scheme() {
    for link in ["null", "\"\"", "\" \"", "7", "{}", "\"ftp://h/x?MARK\"", "\"https://\""] {
        assert_eq!(good(&format!(r#""TaskId":1,"Status":"success","DownloadUrl":{link}"#)).link, None, "{link}");
    }
    assert_eq!(good(r#""TaskId":1,"Status":"success""#).link, None);
    for link in ["example.com/x?a=1&b=2", "https:\\/\\/example.com\\/x?a\\u003d1\\u0026b=2"] {
        let row = good(&format!(r#""TaskId":1,"Status":"success","DownloadUrl":"{link}""#));
        assert_eq!(row.link.unwrap().expose().as_str(), "https://example.com/x?a=1&b=2");
    }
}

#[test]
fn a_time_that_cannot_be_is_no_time() {
    for time in
        ["", "soon", "2018-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    {
        assert_eq!(good(&format!(r#""TaskId":1,"Status":"success","UpdateTime":"{time}""#)).updated_at, None, "{time}");
    }
    for time in
        ["2018-10-09T06:35:46Z", "2018-10-09T14:35:46+08:00", "2018-10-09 06:35:46", "2018-10-09T06:35:46.0009Z"]
    {
        let row = good(&format!(r#""TaskId":1,"Status":"success","UpdateTime":"{time}""#));
        assert_eq!(row.updated_at, at("2018-10-09T06:35:46Z"), "{time}");
    }
    let both = good(
        r#""TaskId":1,"Status":"success","UpdateTime":"2018-10-09T06:35:46Z","ModifyTime":"2020-01-01T00:00:00Z""#,
    );
    assert_eq!(both.updated_at, at("2018-10-09T06:35:46Z"));
}

#[test]
fn a_page_without_rows_has_many_spellings() {
    for data in [
        r#","Data":{"DataItem":[]}"#,
        r#","Data":{"DataItem":null}"#,
        r#","Data":{"DataItem":""}"#,
        r#","Data":{"DataItem":{ }}"#,
        r#","Data":{}"#,
        r#","Data":[]"#,
        r#","Data":[ ]"#,
        r#","Data":null"#,
        r#","Data":"""#,
        "",
    ] {
        let page = read(&format!(r#"{{"RequestId":"R","UsageDataPerPage":{{"TotalCount":0{data}}}}}"#));
        assert_eq!((page.total, page.rows.len(), page.rejected.len()), (Some(0), 0, 0), "{data}");
    }
    for body in [
        r#"{"RequestId":"R","TotalCount":0}"#,
        r#"{"TotalCount":"0","UsageDataPerPage":null}"#,
        r#"{"TotalCount":0,"UsageDataPerPage":[]}"#,
        "<R><TotalCount>0</TotalCount></R>",
        "<R><UsageDataPerPage><TotalCount>0</TotalCount></UsageDataPerPage></R>",
        "<R><UsageDataPerPage><TotalCount>0</TotalCount><Data/></UsageDataPerPage></R>",
        "<R><UsageDataPerPage><TotalCount>0</TotalCount><Data> </Data></UsageDataPerPage></R>",
    ] {
        let page = read(body);
        assert_eq!((page.total, page.rows.len(), page.rejected.len()), (Some(0), 0, 0), "{body}");
    }
}

#[test]
fn rows_are_found_wherever_they_have_been() {
    let item = r#"{"TaskId":1,"Status":"success"}"#;
    for body in [
        format!(r#"{{"UsageDataPerPage":{{"Data":{{"DataItem":[{item}]}}}}}}"#),
        format!(r#"{{"UsageDataPerPage":{{"Data":{{"DataItem":{item}}}}}}}"#),
        format!(r#"{{"UsageDataPerPage":{{"Data":[{item}]}}}}"#),
        format!(r#"{{"UsageDataPerPage":{{"Data":[{{"DataItem":{item}}}]}}}}"#),
        format!(r#"{{"UsageDataPerPage":{{"Data":[{{"DataItem":[{item}]}}]}}}}"#),
        format!(r#"{{"UsageDataPerPage":{{"Data":{item}}}}}"#),
        format!(r#"{{"TotalCount":"1","UsageDataPerPage":{{"UsageData":[{item}]}}}}"#),
        format!(r#"{{"totalCount":1,"usageDataPerPage":{{"data":{{"dataItem":[{item}]}}}}}}"#),
        r#"{"usageDataPerPage":{"data":{"dataItem":[{"taskId":1,"status":"success"}]}}}"#.to_owned(),
        format!("\u{feff} \n{{\"UsageDataPerPage\":{{\"Data\":[{item}]}}}}"),
        "<R><UsageDataPerPage><Data><DataItem><TaskId>1</TaskId><Status>success</Status></DataItem></Data></UsageDataPerPage></R>".to_owned(),
        "<R><UsageDataPerPage><UsageData><TaskId>1</TaskId><Status>success</Status></UsageData></UsageDataPerPage></R>".to_owned(),
    ] {
        let page = read(&body);
        assert_eq!(page.rejected, [], "{body}");
        assert_eq!(page.rows.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["1"], "{body}");
    }
}

#[test]
fn counters_may_be_text_and_nonsense_is_no_counter() {
    for (sent, total) in [
        ("7", Some(7)),
        ("\"7\"", Some(7)),
        ("\" 7 \"", Some(7)),
        ("-1", None),
        ("\"-1\"", None),
        ("7.5", None),
        ("null", None),
        ("99999999999999999999999", None),
        ("18446744073709551615", None),
        ("\"many\"", None),
        ("[]", None),
    ] {
        let body = format!(r#"{{"UsageDataPerPage":{{"TotalCount":{sent},"PageNumber":{sent},"PageSize":{sent}}}}}"#);
        let page = read(&body);
        let small = total.map(|n| u32::try_from(n).unwrap());
        assert_eq!((page.total, page.number, page.size), (total, small, small), "{sent}");
    }
}

#[test]
fn one_bad_row_of_any_kind_never_costs_its_page() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let kinds = [
        "null",
        "1",
        "1e999",
        "\"x\"",
        "\"\\ud800\"",
        "true",
        "[]",
        "{}",
        "[[{}]]",
        deep.as_str(),
        deep_object.as_str(),
    ];
    for kind in kinds {
        let good = r#"{"TaskId":1,"Status":"success"}"#;
        let body = format!(r#"{{"UsageDataPerPage":{{"TotalCount":3,"Data":{{"DataItem":[{good},{kind},{good}]}}}}}}"#);
        let page = read(&body);
        assert_eq!((page.rows.len(), page.rejected.len()), (2, 1));
        assert!(page.rejected[0].raw.len() <= RAW_MAX_BYTES);
        let inside = format!(r#""TaskId":1,"Status":"success","New":{kind},"TaskConfig":{kind},"TaskName":{kind}"#);
        assert_eq!(row(&inside).rows.len(), 1);
    }
}

#[test]
fn a_rejected_row_holds_no_signature_and_is_short() {
    let filler = "x".repeat(2 * RAW_MAX_BYTES);
    let page = row(&format!(r#""DownloadUrl":"https:\/\/h\/p?Signature\u003dMARK","Status":"ok","A":"{filler}""#));
    let row = &page.rejected[0];
    assert!(row.raw.starts_with(r#"{"DownloadUrl":"https:\/\/h\/p?[redacted]","Status":"ok""#), "{row:?}");
    assert_eq!(row.raw.len(), RAW_MAX_BYTES);
    let xml = "<R><UsageDataPerPage><Data><DataItem><DownloadUrl>h/p?a=1&amp;MARK</DownloadUrl></DataItem></Data></UsageDataPerPage></R>";
    let page = read(xml);
    assert_eq!(page.rejected[0].raw, "<DataItem><DownloadUrl>h/p?[redacted]</DownloadUrl></DataItem>");
    assert!(!format!("{page:?}").contains("MARK"));
}

#[test]
fn xml_rows_keep_their_order_and_their_decoded_text() {
    let page = read(
        "<?xml version='1.0' encoding='UTF-8'?><!-- x --><R><UsageDataPerPage><TotalCount>2</TotalCount><Data>\
         <DataItem><TaskId>2</TaskId><Status>Success</Status><TaskName><![CDATA[a<b]]>&amp;&#x7528;&nope;</TaskName>\
         <DownloadUrl>https://h/p?a=1&amp;b=2</DownloadUrl></DataItem>\
         <DataItem><TaskId>1</TaskId><Status>created</Status><TaskName/></DataItem></Data></UsageDataPerPage></R>",
    );
    assert_eq!(page.rows.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
    assert_eq!(page.rows[0].name.as_deref(), Some("a<b&用&nope;"));
    assert_eq!(page.rows[0].link.as_ref().unwrap().expose().query(), Some("a=1&b=2"));
    assert_eq!(page.rows[1].name, None);
}

#[test]
fn what_is_neither_page_nor_refusal_is_malformed() {
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let many = format!("<a>{}</a>", "<b/>".repeat(250_000));
    let rows = format!(r#"{{"UsageDataPerPage":{{"Data":[{}1]}}}}"#, "1,".repeat(ROWS_MAX));
    let bodies = [
        "",
        "  ",
        "{",
        "{}",
        "null",
        "[]",
        "1",
        "x",
        "<",
        "<a>",
        "<a></b>",
        "<html></html>",
        "<!DOCTYPE html><html><p></html>",
        r#"{"UsageDataPerPage":null}"#,
        r#"{"RequestId":"R"}"#,
        deep.as_str(),
        many.as_str(),
        rows.as_str(),
    ];
    for body in bodies {
        let error = page(body.as_bytes()).unwrap_err();
        assert!(matches!(error, AnswerError::Malformed(_)), "{error}");
        assert!(error.to_string().len() < 300);
    }
    let nested = format!("<R><UsageDataPerPage><TotalCount>1</TotalCount><Data>{deep}</Data></UsageDataPerPage></R>");
    assert_eq!(read(&nested).rejected.len(), 1);
    let unclosed = "<a>".repeat(10_000);
    assert!(page(unclosed.as_bytes()).is_err());
}

#[test]
fn a_refusal_is_one_whatever_its_status_was() {
    for body in [r#"{"Code":"Throttling.User","Message":"m"}"#, r#"{"code":"X"}"#, "<Error><Code>X</Code></Error>"] {
        assert_eq!(page(body.as_bytes()), Err(AnswerError::Refusal), "{body}");
    }
    assert!(page(br#"{"Code":"OK","UsageDataPerPage":{"TotalCount":0}}"#).is_ok());
}

#[test]
fn a_byte_that_is_no_utf_8_costs_only_itself() {
    let page =
        page(b"{\"UsageDataPerPage\":{\"Data\":[{\"TaskId\":1,\"Status\":\"success\",\"TaskName\":\"a\xffb\"}]}}")
            .unwrap();
    assert_eq!(page.rows[0].name.as_deref(), Some("a\u{fffd}b"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = page(&body);
    }

    #[test]
    fn no_pieces_of_an_answer_make_it_panic(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"TaskId\"", "\"Status\"", "\"UsageDataPerPage\"", "\"Data\"", "\"DataItem\"", "1", "\"x?y\"",
            "null", "<a>", "</a>", "<Data>", "</Data>", "<UsageDataPerPage>", "</UsageDataPerPage>", "<DataItem>", "</DataItem>", "&", ";",
            "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "\\", "\"", "用", " ",
        ]), 0..40)
    ) {
        let _ = page(pieces.concat().as_bytes());
    }

    #[test]
    fn a_sample_that_is_cut_anywhere_never_panics_nor_passes(at in 0_usize..600) {
        for sample in [JSON.trim(), XML.trim()] {
            prop_assert!(page(&sample.as_bytes()[..at.min(sample.len() - 1)]).is_err());
        }
    }
}
