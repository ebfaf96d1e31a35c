//! Both databases have the same migrations: what is moved from one to the other (`warren export`) finds the same tables, and one
//! number says how far any store is.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The root of the workspace: of the checkout that this runs for.
fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    Path::new(&here).join("../..").canonicalize().unwrap()
}

/// The files of a database, `0001_initial.sql` and so on.
fn files(database: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("migrations").join(database)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A number means the same step in both.
#[test]
fn both_databases_have_the_same_ones() {
    assert_eq!(files("sqlite"), files("postgres"));
}

#[test]
fn they_are_numbered_without_a_gap_and_none_is_forgotten() {
    for database in ["sqlite", "postgres"] {
        let files = files(database);
        assert!(files.len() >= 10, "{files:?}");
        let applied = std::fs::read_to_string(root().join("shared").join(database).join("src/migrations.rs")).unwrap();
        for (number, file) in (1..).zip(&files) {
            assert!(file.starts_with(&format!("{number:04}_")), "{database}: {file} is not number {number}");
            // `(1, "initial", include_str!(".../0001_initial.sql"))`
            let listed = format!("({number}, \"{}\", ", file[5..].strip_suffix(".sql").unwrap());
            let text = format!("migrations/{database}/{file}\"");
            assert!(applied.contains(&listed) && applied.contains(&text), "{database}: {file} is never applied");
        }
    }
}
