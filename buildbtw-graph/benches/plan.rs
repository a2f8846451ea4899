//! Loading, planning and updating over a real distribution.
//!
//! `BUILDBTW_CORPUS` names a folder `<pkgbase>/.SRCINFO`; without it there is
//! nothing to measure.

mod corpus;

use std::collections::BTreeMap;

use buildbtw_graph::{
    Plan, PlanInput, PlanOptions, SourcePackage, Tangle, plan, prove, proved_plan, tangles,
};
use corpus::{index, load, texts};
use divan::Bencher;

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    if texts().is_empty() {
        println!("set BUILDBTW_CORPUS to a folder <pkgbase>/.SRCINFO to measure anything");
        return;
    }
    divan::main();
}

fn source(name: &str) -> SourcePackage {
    let pkgbase = name.parse().expect("a good name");
    SourcePackage::clone(index().get(&pkgbase).expect("the corpus has the package"))
}

fn plan_for(changes: &[SourcePackage], rounds: usize) -> Plan {
    let options = PlanOptions {
        rounds,
        ..PlanOptions::default()
    };
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

const CHANGES: [&str; 5] = ["glibc", "curl", "qt6-base", "openimageio", "0ad"];

fn default_rounds() -> usize {
    PlanOptions::default().rounds
}

#[divan::bench(args = CHANGES, sample_count = 20)]
fn plan_one_change(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    bencher.bench(|| plan_for(&changes, default_rounds()));
}

#[divan::bench(args = CHANGES, sample_count = 20)]
fn plan_one_change_without_improvement(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    bencher.bench(|| plan_for(&changes, 0));
}

#[divan::bench(args = ["glibc", "curl"], sample_count = 10)]
fn break_cycles(bencher: Bencher<'_, '_>, name: &str) {
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index(),
        released: &BTreeMap::new(),
        changes: &[source(name)],
        options: &options,
    };
    let tangles = tangles(&input).expect("the corpus can be planned");
    let harm = |tangle: &Tangle| tangle.harm(&tangle.order(options.rounds));
    bencher.bench(|| tangles.iter().map(harm).max());
}

/// The proof alone, of a plan that is there.
#[divan::bench(args = CHANGES, sample_count = 20)]
fn prove_one_change(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    let made = plan_for(&changes, default_rounds());
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index(),
        released: &BTreeMap::new(),
        changes: &changes,
        options: &options,
    };
    bencher.bench(|| prove(&input, &made).expect("the plan is good"));
}

/// What the server and the client do: the plan and its proof, begun together. The budget is for the
/// whole of it, without rounds.
#[divan::bench(args = CHANGES, sample_count = 40)]
fn plan_and_prove_without_improvement(bencher: Bencher<'_, '_>, name: &str) {
    let changes = [source(name)];
    let options = PlanOptions {
        rounds: 0,
        ..PlanOptions::default()
    };
    let input = PlanInput {
        sources: index(),
        released: &BTreeMap::new(),
        changes: &changes,
        options: &options,
    };
    bencher.bench(|| proved_plan(&input).expect("the plan is good"));
}

#[divan::bench(sample_count = 10)]
fn plan_fifty_changes(bencher: Bencher<'_, '_>) {
    let every = index().len() / 50;
    let changes: Vec<SourcePackage> = index()
        .iter()
        .step_by(every)
        .map(|source| SourcePackage::clone(source))
        .collect();
    bencher.bench(|| plan_for(&changes, default_rounds()));
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
