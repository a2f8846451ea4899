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

/// What a plan says of a build that installs the targets.
#[derive(Debug, PartialEq, Eq)]
enum Planned {
    /// Nothing against it.
    Fine,
    /// Impossible because of a conflict.
    Conflict,
    /// Something in its installation is not satisfied.
    Lacking,
}

/// Plans a build that installs the targets. The plan is proved besides.
fn planned(case: &Case) -> Planned {
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
    let set = &plan.architectures[&primary];
    let why = set.builds[0].unbuildable.as_ref();
    match why.map(|why| why.reason) {
        Some(UnbuildableReason::Conflict) => Planned::Conflict,
        Some(_) => Planned::Lacking,
        None if !set.unresolved.is_empty() => Planned::Lacking,
        None => Planned::Fine,
    }
}

/// Cases that were wrong once; the packages of one name in them meet in ways
/// that are drawn rarely.
const RARE: [u64; 7] = [990, 1115, 1354, 1438, 6607, 9945, 10741];

#[test]
fn pacman_refuses_the_same_for_conflicts() {
    let seen: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let cases = number_of_cases(500);
    let all = cases + RARE.len() as u64;
    in_parallel(all, Pacman::new, |pacman, number| {
        let rare = number.checked_sub(cases);
        let seed = rare.map_or(number, |at| RARE[at as usize]);
        let wrong = |case: &Case| {
            let real = pacman.install(case);
            let expected = expected(case);
            let planned = planned(case);
            let (word, agrees) = match &real {
                // The plan lists what would be lacking if pacman had not found
                // something better on the way.
                Answer::Installs(_) => ("installed", planned != Planned::Conflict),
                Answer::Conflict => ("conflict", planned == Planned::Conflict),
                Answer::Twice => ("twice", planned == Planned::Conflict),
                // It is the conflict all the same.
                Answer::Missed => ("one left out and missed", planned == Planned::Conflict),
                // pacman looks at conflicts when all needs are met; a plan says
                // what it sees. Needs that no package meets beside another one
                // of its name are conflicts for it.
                Answer::Unsatisfied => ("unsatisfied", planned != Planned::Fine),
            };
            *seen.lock().unwrap().entry(word).or_default() += 1;
            let same = match (&real, &expected) {
                (Answer::Missed, Answer::Unsatisfied) => true,
                (real, expected) => real == expected,
            };
            (!same || !agrees).then(|| {
                format!(
                    "seed {seed}: expected {expected:?}, planned {planned:?}; \
                     pacman says {real:?}"
                )
            })
        };
        Case::draw(seed, Kind::Conflicts).must_agree(wrong);
    });
    let seen = seen.into_inner().unwrap();
    println!("{all} cases: {seen:?}");
    assert_eq!(seen.len(), 5, "{seen:?}");
}
