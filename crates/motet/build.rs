//! Takes the page of each error code into the binary, so that `motet explain MO-…` needs no book beside it.

use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut files: Vec<_> = fs::read_dir(&pages)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut table = String::from("const ERROR_PAGES: &[(&str, &str)] = &[\n");
    for path in files.iter().map(fs::DirEntry::path) {
        let code = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if code.starts_with("MO-") {
            let _ = writeln!(table, "    ({code:?}, include_str!({:?})),", path.canonicalize()?);
        }
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("error_pages.rs"), table)
}
