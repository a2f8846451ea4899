//! What happens on the screen: the map, many changes, and what a tab that stays open takes.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::browser::{Browser, Look};
use super::{Plan, World, at, figure, load};

/// How often the map is drawn.
const ROUNDS: usize = 5;

/// What drawing the map may take, from the page's first byte on, in milliseconds.
const MAP: f64 = 300.0;

/// The longest that a page may be busy at once, in milliseconds.
const LONG_TASK: f64 = 100.0;

/// How much more memory a tab may take in the end than at first, in percent: what a collector leaves
/// lying is not to be told from a small leak within minutes.
const GROWTH: f64 = 15.0;

/// Changes of builds a second.
const CHANGES: u64 = 100;

/// Notes how long the page was busy at once, from its begin on.
const TASKS: &str = "window.tasks = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) window.tasks.push(one.duration); }) \
     .observe({ type: 'longtask', buffered: true });";

async fn browser() -> Browser {
    Browser::start(Look {
        precise_memory: true,
        ..Look::default()
    })
    .await
}

pub async fn map(world: &World) {
    let browser = browser().await;
    let (mut drawn, mut painted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        browser.open(&world.url("/workers")).await;
        browser.open(&world.url("/namespaces/large")).await;
        browser
            .until("performance.getEntriesByName('map').length > 0")
            .await;
        let times = browser
            .run(
                "const begin = performance.getEntriesByType('navigation')[0].responseStart;
                 const at = (name) => performance.getEntriesByName(name)[0]?.startTime - begin;
                 return [at('map'), at('first-contentful-paint')]",
            )
            .await;
        drawn.push(number(&times[0]));
        painted.push(number(&times[1]));
    }
    println!(
        "map: first picture of the page {:.0} ms after its first byte (median), load {}",
        at(50, &mut painted),
        load()
    );
    figure(
        "map: drawn and alive, median",
        at(50, &mut drawn),
        MAP,
        "ms",
    );
    figure("map: at worst", at(100, &mut drawn), MAP, "ms");
    browser.close().await;
}

/// Has the page hear of changes as if another tab passed them on.
fn feed() -> String {
    format!(
        "const done = arguments[arguments.length - 1];
         fetch(document.querySelector('.map').dataset.names).then((answer) => answer.json()).then(([set]) => {{
           const channel = new BroadcastChannel('buildbtw-events');
           const statuses = ['pending', 'scheduled', 'building', 'built', 'failed', 'blocked', 'built', 'built'];
           const begin = performance.now();
           window.sent = 0;
           window.feed = setInterval(() => {{
             for (const due = (performance.now() - begin) * {CHANGES} / 1000; window.sent < due; window.sent += 1) {{
               const [pkgbase, pass] = set.names[window.sent * 7919 % set.names.length].split(':');
               channel.postMessage({{ seq: 1e12 + window.sent, kind: 'build_status', namespace: 'large', iteration: 1,
                 architecture: set.architecture, pkgbase, pass: Number(pass ?? 1), to: statuses[window.sent % statuses.length] }});
             }}
           }}, 20);
           done(true);
         }});"
    )
}

async fn begin(world: &World) -> Browser {
    let browser = browser().await;
    browser.open(&world.url("/namespaces/large")).await;
    browser
        .until("performance.getEntriesByName('map').length > 0")
        .await;
    let begun = browser.page.execute_async(&feed(), Vec::new()).await;
    begun.expect("changes can be made");
    browser
}

pub async fn changes(world: &World, plan: &Plan) {
    let browser = begin(world).await;
    browser.run(TASKS).await;
    let time = plan.seconds(60, 15);
    tokio::time::sleep(time).await;
    let seen = browser.run("return [window.sent, window.tasks]").await;
    let mut tasks: Vec<f64> = list(&seen[1]);
    let long = tasks.iter().filter(|&&took| took > LONG_TASK).count();
    println!(
        "changes: {:.0} a second for {} s; {} tasks over 50 ms, {long} over {LONG_TASK:.0} ms; load {}",
        number(&seen[0]) / time.as_secs_f64(),
        time.as_secs(),
        tasks.len(),
        load()
    );
    let longest = if tasks.is_empty() {
        50.0
    } else {
        at(100, &mut tasks)
    };
    figure("changes: longest task", longest, LONG_TASK, "ms");
    browser.close().await;
}

pub async fn memory(world: &World, plan: &Plan) {
    let browser = begin(world).await;
    // What is loaded and compiled at first is no growth.
    let (time, settle, step) = match plan.full {
        true => (600, 60, 30),
        false => (60, 15, 5),
    };
    let (begin, time) = (Instant::now(), Duration::from_secs(time));
    let mut heaps = Vec::new();
    while begin.elapsed() < time {
        tokio::time::sleep(Duration::from_secs(step)).await;
        let taken = browser
            .run("gc(); return [performance.memory.usedJSHeapSize / 1048576, document.querySelectorAll('*').length]")
            .await;
        let at = begin.elapsed().as_secs();
        println!(
            "memory: after {at} s {:.2} MiB of scripts, {} elements",
            number(&taken[0]),
            taken[1]
        );
        if at >= settle {
            heaps.push(number(&taken[0]));
        }
    }
    let half = heaps.len() / 2;
    let (early, late) = heaps.split_at_mut(half.max(1));
    let (early, late) = (at(50, early), at(50, late));
    figure(
        &format!(
            "memory: growth of the later half ({late:.2} MiB) over the earlier ({early:.2} MiB)"
        ),
        (late / early - 1.0) * 100.0,
        GROWTH,
        "%",
    );
    browser.close().await;
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().map(number).collect()
}
