//! Writes the man pages and completions below a folder: `cdn-usaged-pages FOLDER DATE`.

use std::{env, error::Error, fs, path::Path};

use cdn_usaged_packaging::{Edition, completions, man_pages};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, date] = arguments.as_slice() else {
        return Err("usage: cdn-usaged-pages FOLDER DATE, such as target/packaging/pages 2026-01-31".into());
    };
    let edition = Edition { date, version: env!("CARGO_PKG_VERSION") };
    for page in man_pages(edition).into_iter().chain(completions()) {
        let path = Path::new(folder).join(page.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, page.text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}
