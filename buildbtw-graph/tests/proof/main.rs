//! The proof accepts what the planner makes of random distributions, and
//! refuses a plan as soon as something is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../brute_force/input.rs"]
mod input;
#[path = "../brute_force/model.rs"]
mod model;

use buildbtw_graph::prove;
use input::{Input, options};
use model::draw;

/// How many distributions are tried; `BUILDBTW_CASES` asks for more.
fn cases() -> u64 {
    let asked = std::env::var("BUILDBTW_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(4000)
}

#[test]
fn plans_are_proved() {
    for seed in 0..cases() {
        let distribution = draw(seed, 1 + seed as usize % 16);
        let options = options(&distribution, seed);
        let input = Input::new(&distribution);
        let plan = input.plan(&options);
        if let Err(flaws) = prove(&input.with(&options), &plan) {
            panic!("distribution {seed}: {flaws:#?}\n{options:?}\n{distribution:?}\n{plan:?}");
        }
    }
}
