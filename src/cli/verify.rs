//! `verify`: hashes the published files again.

use serde::Serialize;

use super::{
    Failure,
    args::VerifyArgs,
    output::{Out, TABLE_ROWS_MAX},
};
use crate::{
    config::Config,
    fetch::{Area, Condition},
    store::{FileRow, Store},
    text::count,
};

#[derive(Serialize)]
struct VerdictJson<'a> {
    #[serde(flatten)]
    file: &'a FileRow,
    result: &'static str,
    error: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &VerifyArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let area = Area::at(&config.storage.download_dir);
    let mut out = Out::new();
    let (mut after, mut whole, mut bytes, mut different) = (0, 0_u64, 0_u64, 0_u64);
    loop {
        let files = store.files_after(after, TABLE_ROWS_MAX as u64).await?;
        for file in &files {
            let condition = area.condition(&file.path, u64::try_from(file.bytes).unwrap_or(0), &file.sha256).await;
            let (result, error) = match condition {
                Condition::Whole => ("ok", None),
                Condition::Missing => ("missing", Some("the file is not there".to_owned())),
                Condition::Damaged(detail) => ("damaged", Some(detail)),
            };
            if result == "ok" {
                whole += 1;
                bytes += u64::try_from(file.bytes).unwrap_or(0);
            } else {
                different += 1;
            }
            if args.json {
                out.json(&VerdictJson { file, result, error })?;
            } else if let Some(error) = error {
                out.line(&format!("{result}: {}: {error}", file.path))?;
            }
        }
        match files.last() {
            Some(last) if files.len() == TABLE_ROWS_MAX => after = last.id,
            _ => break,
        }
    }
    store.close_beside().await;
    if !args.json {
        let total = bytesize::ByteSize(bytes).display().iec().to_string();
        let are = if whole == 1 { "is as it was" } else { "are as they were" };
        let not = if different == 1 { "is" } else { "are" };
        out.line(&format!("{} {are} published ({total}), {different} {not} not", count(whole, "file")))?;
        if different > 0 {
            out.line("`cdn-usaged retry TASK` fetches a missing or damaged file again; a damaged one is kept below .damaged/")?;
        }
    }
    out.finish()?;
    if different == 0 { Ok(()) } else { Err(Failure::silent()) }
}
