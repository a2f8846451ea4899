//! The proof accepts what the planner makes of random distributions, and
//! refuses a plan as soon as something is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../brute_force/input.rs"]
mod input;
#[path = "../brute_force/model.rs"]
mod model;
mod mutations;

use std::collections::BTreeMap;

use buildbtw_graph::{prove, proved_plan};
use input::{Input, options};
use model::draw;
use mutations::mutants;

/// How many distributions are tried; `BUILDBTW_CASES` asks for more.
fn cases() -> u64 {
    let asked = std::env::var("BUILDBTW_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

#[test]
fn plans_are_proved() {
    for seed in 0..cases() {
        let distribution = draw(seed, 1 + seed as usize % 16);
        let options = options(&distribution, seed);
        let mut input = Input::new(&distribution);
        // Sources of several repositories: what is built goes into one all the
        // same.
        if seed % 3 == 0 {
            let bases = distribution.bases.iter().zip(seed..);
            let numbered = bases.map(|(base, at)| (base.name.parse().unwrap(), (at % 2) as u32));
            input.sources.set_repositories(numbered);
        }
        let plan = input.plan(&options);
        if let Err(flaws) = prove(&input.with(&options), &plan) {
            panic!("distribution {seed}: {flaws:#?}\n{options:?}\n{distribution:?}\n{plan:?}");
        }
        // Proved while it is made, it is the same.
        assert_eq!(proved_plan(&input.with(&options)), Ok(plan), "{seed}");
    }
}

/// Each way of being wrong is found for what it is.
#[test]
fn plans_with_one_thing_wrong_are_refused() {
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..cases() / 5 {
        let distribution = draw(seed, 1 + seed as usize % 10);
        let options = options(&distribution, seed);
        let input = Input::new(&distribution);
        let plan = input.plan(&options);
        let on = &options.architectures[0];
        for mutant in mutants(&plan.architectures[on]) {
            let mut wrong = plan.clone();
            wrong.architectures.insert(on.clone(), mutant.set);
            let flaws = prove(&input.with(&options), &wrong)
                .err()
                .unwrap_or_default();
            assert!(
                flaws.iter().any(mutant.expected),
                "distribution {seed} {}: {flaws:#?}\n{options:?}\n{distribution:?}\n{plan:?}",
                mutant.what
            );
            for flaw in &flaws {
                let sentence = flaw.to_string();
                assert!(
                    !sentence.contains("PkgBase") && sentence.len() > 20,
                    "{sentence}"
                );
            }
            let kind = mutant.what.split(' ').next().unwrap();
            *tried.entry(kind.to_owned()).or_default() += 1;
        }
    }
    println!("{tried:?}");
    assert!(tried.values().all(|&count| count >= 20), "{tried:?}");
    assert!(tried["hides"] >= 100, "{tried:?}");
}
