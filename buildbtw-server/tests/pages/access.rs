//! Who cannot see, cannot use a mouse, or looks through a telephone, gets along as well.

use std::path::Path;

use fantoccini::key::Key;
use serde_json::Value;

use crate::browser::{Browser, Look};
use crate::world::Eventful;

/// axe-core, which looks for what keeps people out; `./bootstrap.sh test` fetches it.
fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pages/axe/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `./bootstrap.sh test` fetches it",
            path.display()
        )
    })
}

fn look(width: u32, dark: bool) -> Look {
    Look {
        width,
        dark,
        ..Look::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious_on_any_page() {
    let world = Eventful::start().await;
    let axe = axe();
    for (name, look) in [
        ("light", Look::default()),
        ("dark", look(1920, true)),
        ("tablet", look(800, false)),
        ("narrow", look(360, false)),
        ("narrow-dark", look(360, true)),
    ] {
        let browser = Browser::start(look).await;
        for page in world.pages() {
            browser.open(&(world.stage.url() + &page)).await;
            let dark = browser
                .run("return matchMedia('(prefers-color-scheme: dark)').matches")
                .await;
            assert_eq!(dark, look.dark, "{name}");
            let script = format!(
                "{axe}; const done = arguments[arguments.length - 1];
                 axe.run().then((found) => done(found.violations.map((it) => [it.impact, it.id, it.nodes[0].html])));"
            );
            let found = browser
                .page
                .execute_async(&script, Vec::new())
                .await
                .unwrap();
            let serious: Vec<&Value> = found
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one[0] == "serious" || one[0] == "critical")
                .collect();
            assert!(serious.is_empty(), "{page} ({name}): {serious:#?}");
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            let too_wide = browser.run(wide).await;
            assert!(
                too_wide.as_i64().unwrap() <= 0,
                "{page} ({name}) is {too_wide} pixels too wide"
            );
            let title: String = page
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            browser
                .picture(&format!("{name}{}", title.get(..40).unwrap_or(&title)))
                .await;
        }
        browser.close().await;
    }
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_everything() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    browser.open(&(world.stage.url() + "/namespaces/n")).await;
    browser.until("document.querySelector('.map .here')").await;
    // `/` goes to the search, and a name that only one thing has leads to it.
    browser.press("/").await;
    browser.until("document.activeElement.name === 'q'").await;
    browser.press("suite").await;
    browser.press(&char::from(Key::Enter).to_string()).await;
    let at = browser.page.current_url().await.unwrap();
    assert_eq!(at.path(), "/packages/suite");
    // The map is walked through with arrows, tells what is under them, and opens it.
    browser.open(&(world.stage.url() + "/namespaces/n")).await;
    browser.until("document.querySelector('.map .here')").await;
    browser
        .run("document.querySelector('.map svg').focus()")
        .await;
    for key in [Key::Home, Key::Right] {
        browser.press(&char::from(key).to_string()).await;
    }
    browser
        .until("document.querySelector('.map .told').textContent.startsWith('other: building')")
        .await;
    browser.press(&char::from(Key::Enter).to_string()).await;
    let at = browser.page.current_url().await.unwrap();
    assert_eq!(at.path(), "/namespaces/n/1/x86_64/other/1");
    // Tab comes by every link and every field, and what has the focus shows it.
    let all = browser
        .run("return [...document.querySelectorAll('a[href], button:not([hidden]), input:not([type=hidden]), select, summary')]
              .filter((it) => it.tabIndex >= 0 && it.checkVisibility()).length")
        .await
        .as_u64()
        .unwrap();
    browser
        .run("document.activeElement.blur(); window.passed = new Set()")
        .await;
    for _ in 0..all + 5 {
        browser.press(&char::from(Key::Tab).to_string()).await;
        browser
            .run("window.passed.add(document.activeElement)")
            .await;
    }
    let passed = browser
        .run("return [...window.passed].filter((it) => it.matches('a, button, input, select, summary')).length")
        .await;
    assert!(passed.as_u64().unwrap() >= all, "{passed} of {all}");
    browser.close().await;
    world.stage.stop().await;
}
