//! Whole distributions: `.SRCINFO` files by the thousand, as git repositories, and a checker of the
//! plans that are made from them.
//!
//! The checker stands beside the planner, not on it: it reads the `.SRCINFO` texts and the plan's
//! JSON itself and works out in the plainest way what each build installs.

pub mod bare;
pub mod checker;
pub mod distribution;
pub mod plan;
pub mod seeded;
pub mod srcinfo;
pub mod synthetic;
pub mod version;

use std::path::PathBuf;

use crate::stage::Stage;

/// A pkgbase and the text of its `.SRCINFO`.
pub type SrcinfoText = (String, String);

/// The texts of the folder `<pkgbase>/.SRCINFO` that `BUILDBTW_CORPUS` names, in the order of names;
/// `None`, and a loud word about it, where it names nothing.
///
/// # Panics
///
/// When what it names cannot be read or holds no `.SRCINFO`.
pub fn corpus() -> Option<Vec<SrcinfoText>> {
    let Some(path) = std::env::var_os("BUILDBTW_CORPUS").filter(|path| !path.is_empty()) else {
        eprintln!("\n*** SKIPPED: BUILDBTW_CORPUS names no folder of .SRCINFO files ***\n");
        return None;
    };
    let folder = PathBuf::from(path);
    let entries = std::fs::read_dir(&folder);
    let entries =
        entries.unwrap_or_else(|error| panic!("BUILDBTW_CORPUS, {}: {error}", folder.display()));
    let mut texts = Vec::new();
    for entry in entries {
        let entry = entry.expect("a folder can be listed");
        let path = entry.path().join(".SRCINFO");
        if path.is_file() {
            let text = std::fs::read_to_string(&path);
            let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            texts.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
    }
    assert!(
        !texts.is_empty(),
        "BUILDBTW_CORPUS: there is no <pkgbase>/.SRCINFO in {}",
        folder.display()
    );
    texts.sort();
    Some(texts)
}

/// Makes the stage's source repositories: a bare one for each text, with a PKGBUILD that names the
/// version and is never run.
pub fn write_repositories(stage: &Stage, texts: &[SrcinfoText]) {
    let folder = stage.path().join("sources");
    let write = |(pkgbase, text): &SrcinfoText| {
        let source = srcinfo::read(text);
        let release = source
            .version
            .rsplit_once('-')
            .map_or("1", |(_, release)| release);
        let pkgbuild = format!("pkgbase={pkgbase}\npkgrel={release}\n");
        let files = [(".SRCINFO", text.as_str()), ("PKGBUILD", &pkgbuild)];
        let written = bare::write_bare_repository(&folder.join(pkgbase), &files);
        written.unwrap_or_else(|error| panic!("the repository of {pkgbase}: {error}"));
    };
    // The work is mostly the system's, which does several files at once gladly.
    std::thread::scope(|scope| {
        for part in texts.chunks(texts.len().div_ceil(4).max(1)) {
            scope.spawn(|| part.iter().for_each(write));
        }
    });
}

/// The distribution that some texts describe.
pub fn distribution_of(texts: &[SrcinfoText]) -> distribution::Distribution {
    distribution::Distribution::new(texts.iter().map(|(_, text)| srcinfo::read(text)).collect())
}
