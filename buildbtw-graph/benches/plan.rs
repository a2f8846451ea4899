//! Loading, planning and updating over a real distribution.
//!
//! `BUILDBTW_CORPUS` names a folder `<pkgbase>/.SRCINFO`; without it there is
//! nothing to measure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use buildbtw_graph::{
    Plan, PlanInput, PlanOptions, SourceIndex, SourcePackage, plan, prove, read_srcinfo,
};
use divan::Bencher;
use rayon::prelude::*;

fn main() {
    if texts().is_empty() {
        println!("set BUILDBTW_CORPUS to a folder <pkgbase>/.SRCINFO to measure anything");
        return;
    }
    divan::main();
}

fn texts() -> &'static [String] {
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

fn load() -> SourceIndex {
    let sources: Vec<SourcePackage> = texts()
        .par_iter()
        .filter_map(|text| Some(read_srcinfo(text).ok()?.package))
        .collect();
    sources.into_iter().collect()
}

fn index() -> &'static SourceIndex {
    static INDEX: OnceLock<SourceIndex> = OnceLock::new();
    INDEX.get_or_init(load)
}

fn source(name: &str) -> SourcePackage {
    let pkgbase = name.parse().expect("a good name");
    SourcePackage::clone(index().get(&pkgbase).expect("the corpus has the package"))
}

fn plan_for(changes: &[SourcePackage]) -> Plan {
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index(),
        released: &BTreeMap::new(),
        changes,
        options: &options,
    };
    plan(&input).expect("the corpus can be planned")
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn load_all_texts_into_the_index() -> usize {
    load().len()
}

#[divan::bench(args = ["glibc", "curl", "qt6-base", "openimageio", "0ad"], sample_count = 20)]
fn plan_one_change(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    bencher.bench(|| plan_for(&changes));
}

/// The proof alone, of a plan that is there.
#[divan::bench(args = ["glibc", "curl", "qt6-base", "openimageio", "0ad"], sample_count = 20)]
fn prove_one_change(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    let made = plan_for(&changes);
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index(),
        released: &BTreeMap::new(),
        changes: &changes,
        options: &options,
    };
    bencher.bench(|| prove(&input, &made).expect("the plan is good"));
}

#[divan::bench(sample_count = 10)]
fn plan_fifty_changes(bencher: Bencher<'_, '_>) {
    let every = index().len() / 50;
    let changes: Vec<SourcePackage> = index()
        .iter()
        .step_by(every)
        .map(|source| SourcePackage::clone(source))
        .collect();
    bencher.bench(|| plan_for(&changes));
}

#[divan::bench(args = ["glibc", "curl", "0ad"])]
fn update_one_source(bencher: Bencher<'_, '_>, name: &str) {
    let mut own = index().clone();
    own.insert(source(name));
    bencher.bench_local(|| own.insert(source(name)));
}

/// While a plan still holds the index of before.
#[divan::bench(args = ["glibc", "curl", "0ad"])]
fn update_one_source_of_a_shared_index(bencher: Bencher<'_, '_>, name: &str) {
    bencher
        .with_inputs(|| (index().clone(), source(name)))
        .bench_local_values(|(mut shared, source)| {
            shared.insert(source);
            shared
        });
}
