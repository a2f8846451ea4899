//! The proof over the corpus.

use std::collections::BTreeMap;

use buildbtw_graph::{PlanInput, PlanOptions, SourcePackage, UnbuildableReason, plan, prove};

use crate::corpus;

#[test]
fn plans_over_the_corpus_are_proved() {
    let Some((_, index)) = corpus() else {
        return;
    };
    for name in ["glibc", "curl", "qt6-base", "openimageio"] {
        for passes in [1, 2] {
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
