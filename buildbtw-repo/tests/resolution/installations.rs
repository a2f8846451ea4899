//! What is installed for some targets: `pacman -Sp` says the same.

use std::collections::BTreeMap;
use std::sync::Mutex;

use buildbtw_graph::{InstallRequest, Uninstallable, resolve_installation};

use crate::cases::{Case, Kind, REPOSITORIES};
use crate::pacman::{Answer, Pacman};
use crate::{in_parallel, number_of_cases};

/// What the product expects pacman to do.
pub fn expected(case: &Case) -> Answer {
    let request = InstallRequest {
        stack: &case.index(),
        targets: &case.relations(),
        assumed: &[],
        hidden: &|_, _| false,
    };
    let found = match resolve_installation(&request) {
        Ok(found) => found,
        Err(reasons) => {
            let unsatisfied = |reason| matches!(reason, &Uninstallable::Unsatisfied { .. });
            return match &reasons[0] {
                _ if reasons.iter().any(unsatisfied) => Answer::Unsatisfied,
                Uninstallable::Twice { .. } => Answer::Twice,
                _ => Answer::Conflict,
            };
        }
    };
    let lines = found.iter().map(|(repository, package)| {
        let repository = REPOSITORIES[*repository];
        format!("{repository} {} {}", package.pkgname, package.version)
    });
    Answer::Installs(lines.collect())
}

#[test]
fn pacman_would_install_the_same() {
    let seen: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let cases = number_of_cases(500);
    in_parallel(cases, Pacman::new, |pacman, seed| {
        let wrong = |case: &Case| {
            let expected = expected(case);
            let real = pacman.resolve(case);
            let word = match &real {
                Answer::Installs(all) if all.len() > 3 => "many packages",
                Answer::Installs(_) => "few packages",
                Answer::Twice => "twice",
                Answer::Unsatisfied | Answer::Missed | Answer::Conflict => "unsatisfied",
            };
            *seen.lock().unwrap().entry(word).or_default() += 1;
            (expected != real)
                .then(|| format!("seed {seed}: expected {expected:?}, pacman says {real:?}"))
        };
        Case::draw(seed, Kind::Resolution).must_agree(wrong);
    });
    let seen = seen.into_inner().unwrap();
    println!("{cases} cases: {seen:?}");
    assert_eq!(seen.len(), 4, "{seen:?}");
}
