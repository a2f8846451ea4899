//! How long a line takes from the build to the screen: a build writes the time, and the page that shows
//! its log compares.

use serde_json::Value;

use super::browser::{Browser, Look};
use super::{Plan, TALKER, World, at, figure, load};

/// What nineteen of twenty lines may take, in milliseconds.
const BUDGET: f64 = 500.0;

/// Notes of each line that is new on the screen how old it is when it has been painted.
const WATCH: &str = "window.ages = [];
     new MutationObserver((changes) => requestAnimationFrame(() => {
       for (const change of changes) for (const line of change.addedNodes) {
         const [, at] = line.textContent?.match(/at (\\d{13})$/) ?? [];
         if (at) window.ages.push(Date.now() - Number(at));
       }
     })).observe(document.querySelector('ol.lines'), { childList: true });";

pub async fn measure(world: &World, plan: &Plan) {
    let build = world.begin(TALKER).await;
    let run = build.run.expect("it is being built").id;
    let browser = Browser::start(Look::default()).await;
    browser.open(&world.url(&format!("/runs/{run}/log"))).await;
    browser.run(WATCH).await;
    let wait = plan.seconds(100, 12);
    tokio::time::sleep(wait).await;
    let ages = browser.run("return window.ages").await;
    let mut ages: Vec<f64> = ages
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .collect();
    println!(
        "line: {} lines in {} s; median {:.0} ms, at worst {:.0} ms; load {}",
        ages.len(),
        wait.as_secs(),
        at(50, &mut ages),
        at(100, &mut ages),
        load()
    );
    figure(
        "line: from the build to the screen, p95",
        at(95, &mut ages),
        BUDGET,
        "ms",
    );
    browser.close().await;
}
