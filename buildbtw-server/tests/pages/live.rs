//! What happens on a page while it is looked at, and the ways through the pages.

use buildbtw_api::OutcomeClass;

use crate::browser::{Browser, Look};
use crate::proxy::Proxy;
use crate::world::{Eventful, write_log};

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_goes_on_shows_at_once_and_without_a_reload() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    browser.open(&(world.stage.url() + "/namespaces/n")).await;
    browser.until("document.querySelector('.map .here')").await;
    browser.run("window.kept = true").await;
    let status = "document.querySelector('tr[data-build=\"x86_64/other/1\"] .status').textContent";
    browser.until(&format!("{status} === 'building'")).await;
    browser.picture("namespace").await;
    world.worker.succeed(&world.running).await;
    browser.until(&format!("{status} === 'built'")).await;
    // The map has it too, and the numbers follow.
    browser
        .until("document.querySelectorAll('.map path.cell.building').length === 0")
        .await;
    browser
        .until("document.querySelector('.counts').textContent.includes('2 built')")
        .await;
    assert_eq!(browser.run("return window.kept").await, true);
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_grows_on_the_page_and_its_end_is_told() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/runs/{}/log", world.stage.url(), world.running.run);
    browser.open(&page).await;
    let lines = "document.querySelectorAll('ol.lines li').length";
    browser.until(&format!("{lines} === 1")).await;
    let first = "==> Starting build()...\n".len() as u64;
    let second = "a <b>line</b> \u{1b}[32mgreen\u{1b}[0m \u{202e}\n";
    write_log(&world.worker, &world.running, first, second).await;
    browser.until(&format!("{lines} === 2")).await;
    let shown = browser
        .run("return document.getElementById('L2').innerText")
        .await;
    let shown = shown
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(shown, "2 a <b>line</b> green \u{fffd}");
    let green = browser
        .run("return document.querySelector('#L2 .c2').textContent")
        .await;
    assert_eq!(green, "green");
    browser.picture("log").await;
    world
        .worker
        .fail(&world.running, OutcomeClass::Package)
        .await;
    browser
        .until("document.querySelector('h1').textContent.includes('package')")
        .await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clicks_lead_to_the_first_error_of_what_caused_the_others() {
    let world = Eventful::start().await;
    // `suite` fails because `tool` did: who begins there is led to the cause.
    for (look, script) in [
        (Look::default(), true),
        (
            Look {
                script: false,
                ..Look::default()
            },
            false,
        ),
    ] {
        let browser = Browser::start(look).await;
        browser.open(&(world.stage.url() + "/")).await;
        browser.click("main a[href='/namespaces/n']").await;
        browser.click("tr[data-build='x86_64/suite/1'] a").await;
        browser.click("a[href$='/log/first-error']").await;
        let at = browser.page.current_url().await.unwrap();
        assert_eq!(at.fragment(), Some("L60"), "{at}");
        let line = "document.querySelector('li:target').textContent.includes(\"expected ';'\")";
        if script {
            browser.until(line).await;
        }
        browser
            .picture(if script {
                "first-error"
            } else {
                "first-error-without-script"
            })
            .await;
        browser.close().await;
    }
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_act_in_a_browser_without_a_script() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look {
        script: false,
        ..Look::default()
    })
    .await;
    browser.open(&(world.stage.url() + "/namespaces/n")).await;
    browser.click("form[action$='/pause'] button").await;
    world
        .namespace_comes_to(buildbtw_api::NamespaceStatus::Paused)
        .await;
    browser.click("form[action$='/resume'] button").await;
    world
        .namespace_comes_to(buildbtw_api::NamespaceStatus::Active)
        .await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_the_middle_of_a_log_loses_and_doubles_nothing() {
    let world = Eventful::start().await;
    let proxy = Proxy::start(&world.stage.url()).await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/runs/{}/log", proxy.url(), world.running.run);
    browser.open(&page).await;
    let lines = "document.querySelectorAll('ol.lines li').length";
    let mut written = "==> Starting build()...\n".to_owned();
    for round in 0..4 {
        // The break comes in the middle of a line, and of a letter.
        let part = format!("line {round} é");
        let cut = part.len() - 1;
        let bytes = part.as_bytes();
        let at = written.len() as u64;
        world.append(at, &bytes[..cut]).await;
        if round > 0 {
            browser
                .until(&format!("{lines} === {}", 1 + round * 2))
                .await;
        }
        proxy.cut();
        let rest = [&bytes[cut..], format!("\nand {round}\n").as_bytes()].concat();
        world.append(at + cut as u64, &rest).await;
        written = format!("{written}{part}\nand {round}\n");
        browser
            .until(&format!("{lines} === {}", 3 + round * 2))
            .await;
    }
    let shown = browser
        .run("return [...document.querySelectorAll('ol.lines li > span')].map((line) => line.textContent)")
        .await;
    let shown: Vec<&str> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert_eq!(shown, written.lines().collect::<Vec<_>>());
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_that_the_server_is_away_and_goes_on_when_it_is_back() {
    let world = Eventful::start().await;
    let proxy = Proxy::start(&world.stage.url()).await;
    let browser = Browser::start(Look::default()).await;
    browser.open(&(proxy.url() + "/namespaces/n")).await;
    let status = "document.querySelector('tr[data-build=\"x86_64/other/1\"] .status').textContent";
    browser.until(&format!("{status} === 'building'")).await;
    let away = "!document.querySelector('p.stale').hidden";
    assert_eq!(browser.run(&format!("return {away}")).await, false);
    proxy.stand_alone(true);
    browser.until(away).await;
    world.worker.succeed(&world.running).await;
    proxy.stand_alone(false);
    browser.until(&format!("{status} === 'built'")).await;
    browser.until(&format!("!({away})")).await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_log_fold() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/runs/{}/log", world.stage.url(), world.running.run);
    browser.open(&page).await;
    let shown = "[...document.querySelectorAll('ol.lines li')].filter((line) => line.offsetHeight > 0).length";
    browser.until(&format!("{shown} === 1")).await;
    let start = "==> Starting build()...\n".len() as u64;
    let (some, more) = ("one\ntwo\n", "three\n");
    world.append(start, some.as_bytes()).await;
    browser.until(&format!("{shown} === 3")).await;
    browser.click("ol.lines .heading .fold").await;
    browser.until(&format!("{shown} === 1")).await;
    // What comes meanwhile belongs to what is folded.
    world
        .append(start + some.len() as u64, more.as_bytes())
        .await;
    browser
        .until("document.querySelectorAll('ol.lines li').length === 4")
        .await;
    assert_eq!(browser.run(&format!("return {shown}")).await, 1);
    browser.click("ol.lines .heading .fold").await;
    browser.until(&format!("{shown} === 4")).await;
    browser.picture("log-folding").await;
    browser.close().await;
    world.stage.stop().await;
}
