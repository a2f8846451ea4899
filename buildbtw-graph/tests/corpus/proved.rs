//! The proof over the corpus.

use std::collections::BTreeMap;

use buildbtw_graph::{
    PlanInput, PlanOptions, SourceIndex, SourcePackage, UnbuildableReason, plan, prove,
};

use crate::corpus;

#[test]
fn plans_over_the_corpus_are_proved() {
    let Some((_, index)) = corpus() else {
        return;
    };
    let ordered = with_repositories(index);
    for name in ["glibc", "curl", "qt6-base", "openimageio"] {
        for (passes, index) in [(1, index), (2, index), (1, &ordered)] {
            let changes = [SourcePackage::clone(
                index.get(&name.parse().unwrap()).unwrap(),
            )];
            let options = PlanOptions {
                passes,
                ..PlanOptions::default()
            };
            let input = PlanInput {
                sources: index,
                released: &BTreeMap::new(),
                changes: &changes,
                options: &options,
            };
            let made = plan(&input).unwrap();
            if let Err(flaws) = prove(&input, &made) {
                panic!(
                    "{name}, {passes} passes: {} flaws: {:#?}",
                    flaws.len(),
                    &flaws[..flaws.len().min(20)]
                );
            }
        }
    }
}

/// The same sources, released to the repositories that `repos.tsv` beside them
/// names.
fn with_repositories(index: &SourceIndex) -> SourceIndex {
    let file = crate::folder().unwrap().join("repos.tsv");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut known: Vec<&str> = Vec::new();
    let mut numbers = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        if let (Some(pkgbase), Some(repository)) = (columns.next(), columns.next())
            && let Ok(pkgbase) = pkgbase.parse()
        {
            let at = known.iter().position(|&other| other == repository);
            let number = at.unwrap_or(known.len());
            if at.is_none() {
                known.push(repository);
            }
            numbers.push((pkgbase, number as u32));
        }
    }
    let mut ordered = index.clone();
    ordered.set_repositories(numbers);
    ordered
}

/// Builds in whose installation two packages conflict are rare, and those that
/// are called so were looked at one by one: `plasma-activities` refuses
/// `kactivities`, which it took the place of and does not provide.
#[test]
fn few_builds_have_conflicts() {
    let Some((_, index)) = corpus() else {
        return;
    };
    let set = crate::plan_for(index, &["glibc"]);
    let reasons = set.builds.iter().filter_map(|build| {
        let why = build.unbuildable.as_ref()?;
        (why.reason == UnbuildableReason::Conflict).then_some((&build.pkgbase, &why.hint))
    });
    let conflicts: Vec<_> = reasons.collect();
    println!("{conflicts:#?}");
    assert!(conflicts.len() <= 5);
}
