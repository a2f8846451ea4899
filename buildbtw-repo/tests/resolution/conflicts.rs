//! Conflicts: a build is planned as impossible for one exactly where
//! `pacman -S` refuses to install what it needs for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use buildbtw_graph::{
    PlanInput, PlanOptions, SourceIndex, UnbuildableReason, plan, prove, read_srcinfo,
};

use crate::cases::{Case, Kind};
use crate::installations::expected;
use crate::pacman::{Answer, Pacman};
use crate::{in_parallel, number_of_cases};

/// Whether a build that installs the targets is planned as impossible because
/// of a conflict. The plan is proved besides.
fn planned_as_conflict(case: &Case) -> bool {
    let mut srcinfo = "pkgbase = probe\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n".to_owned();
    for target in &case.targets {
        srcinfo.push_str(&format!("\tmakedepends = {target}\n"));
    }
    srcinfo.push_str("\npkgname = probe\n");
    let probe = read_srcinfo(&srcinfo).unwrap().package;
    let options = PlanOptions {
        implicit: Vec::new(),
        ..PlanOptions::default()
    };
    let primary = options.architectures[0].clone();
    let input = PlanInput {
        sources: &SourceIndex::default(),
        released: &BTreeMap::from([(primary.clone(), Arc::new(case.index()))]),
        changes: &[probe],
        options: &options,
    };
    let plan = plan(&input).unwrap();
    if let Err(flaws) = prove(&input, &plan) {
        panic!("{case}its plan is not proved: {flaws:?}");
    }
    let build = &plan.architectures[&primary].builds[0];
    let unbuildable = build.unbuildable.as_ref();
    unbuildable.is_some_and(|why| why.reason == UnbuildableReason::Conflict)
}

#[test]
fn pacman_refuses_the_same_for_conflicts() {
    let seen: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let cases = number_of_cases(500);
    in_parallel(cases, Pacman::new, |pacman, seed| {
        let wrong = |case: &Case| {
            let real = pacman.install(case);
            let expected = expected(case);
            let planned = planned_as_conflict(case);
            let (word, is_conflict) = match &real {
                Answer::Installs(_) => ("installed", Some(false)),
                Answer::Conflict => ("conflict", Some(true)),
                Answer::Twice => ("twice", Some(true)),
                // It is the conflict all the same.
                Answer::Missed => ("one left out and missed", Some(true)),
                // pacman looks at conflicts when all needs are met; a plan says
                // what it sees.
                Answer::Unsatisfied => ("unsatisfied", None),
            };
            *seen.lock().unwrap().entry(word).or_default() += 1;
            let same = match (&real, &expected) {
                (Answer::Missed, Answer::Unsatisfied) => true,
                (real, expected) => real == expected,
            };
            let agrees = same && is_conflict.is_none_or(|wanted| wanted == planned);
            (!agrees).then(|| {
                format!(
                    "seed {seed}: expected {expected:?}, planned as a conflict: {planned}; \
                     pacman says {real:?}"
                )
            })
        };
        Case::draw(seed, Kind::Conflicts).must_agree(wrong);
    });
    let seen = seen.into_inner().unwrap();
    println!("{cases} cases: {seen:?}");
    assert_eq!(seen.len(), 5, "{seen:?}");
}
