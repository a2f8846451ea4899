//! A real distribution to measure with: `BUILDBTW_CORPUS` names a folder
//! `<pkgbase>/.SRCINFO`.

use std::path::PathBuf;
use std::sync::OnceLock;

use buildbtw_graph::{SourceIndex, SourcePackage, read_srcinfo};
use rayon::prelude::*;

/// All texts, or none where no folder is named.
pub fn texts() -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let Some(folder) = std::env::var_os("BUILDBTW_CORPUS").map(PathBuf::from) else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(&folder).expect("BUILDBTW_CORPUS names a folder");
        let files = entries.filter_map(|entry| Some(entry.ok()?.path().join(".SRCINFO")));
        files
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect()
    })
}

/// Reads all texts and makes an index of them.
pub fn load() -> SourceIndex {
    let sources: Vec<SourcePackage> = texts()
        .par_iter()
        .filter_map(|text| Some(read_srcinfo(text).ok()?.package))
        .collect();
    sources.into_iter().collect()
}

/// The index, made once.
pub fn index() -> &'static SourceIndex {
    static INDEX: OnceLock<SourceIndex> = OnceLock::new();
    INDEX.get_or_init(load)
}
