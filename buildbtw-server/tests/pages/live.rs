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
        browser
            .click("section[aria-labelledby='failures'] a[href$='/log/first-error']")
            .await;
        let at = browser.page.current_url().await.unwrap();
        assert_eq!(at.fragment(), Some("L60"), "by the list of failures: {at}");
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
    // What takes something away is asked about first.
    browser.click("#ask-cancel summary").await;
    browser.picture("asked").await;
    browser.click("#ask-cancel form button").await;
    world
        .namespace_comes_to(buildbtw_api::NamespaceStatus::Cancelled)
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

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_line_leads_there_also_when_the_log_has_grown() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/runs/{}/log", world.stage.url(), world.running.run);
    let start = "==> Starting build()...\n".len() as u64;
    let lines =
        |from: u32, to: u32| -> String { (from..=to).map(|n| format!("line {n}\n")).collect() };
    let few = lines(2, 20);
    world.append(start, few.as_bytes()).await;
    browser.open(&page).await;
    let chosen =
        "[...document.querySelectorAll('.chosen > span')].map((line) => line.textContent).join()";
    browser
        .until("document.querySelector('ol.lines.live #L20')")
        .await;
    browser.click("#L7 > a").await;
    browser.until(&format!("{chosen} === 'line 7'")).await;
    let address = browser.page.current_url().await.unwrap();
    assert_eq!(
        (address.query(), address.fragment()),
        (Some("from=1"), Some("L7"))
    );
    // With Shift the choice goes on to another line.
    browser
        .run("document.querySelector('#L9 > a').dispatchEvent(new MouseEvent('click', { shiftKey: true, bubbles: true, cancelable: true }))")
        .await;
    browser
        .until(&format!("{chosen} === 'line 7,line 8,line 9'"))
        .await;
    let address = browser.page.current_url().await.unwrap();
    assert_eq!(address.fragment(), Some("L7-L9"));
    // Much comes after it; whoever got the address sees these lines.
    let more = lines(21, 9_000);
    world
        .append(start + few.len() as u64, more.as_bytes())
        .await;
    browser.open("about:blank").await;
    browser.open(address.as_str()).await;
    browser
        .until(&format!("{chosen} === 'line 7,line 8,line 9'"))
        .await;
    // Also an address that was made without saying where its page begins.
    browser.open("about:blank").await;
    browser.open(&format!("{page}#L3000")).await;
    browser.until(&format!("{chosen} === 'line 3000'")).await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_lines_are_switched_on_and_stay_on() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/runs/{}/log", world.stage.url(), world.failed.run);
    let shown = "document.querySelector('#L60 > time').offsetWidth > 0";
    browser.open(&page).await;
    browser
        .until("document.querySelector('ol.lines.live')")
        .await;
    assert_eq!(browser.run(&format!("return {shown}")).await, false);
    browser.click("#times").await;
    browser.until(shown).await;
    let time = browser
        .run("return document.querySelector('#L60 > time').textContent")
        .await;
    assert!(time.as_str().unwrap().starts_with("00:0"), "{time}");
    browser.picture("log-times").await;
    browser.open(&format!("{page}?from=40#L60")).await;
    browser.until(shown).await;
    browser.until("document.querySelector('#L60.chosen')").await;
    // What comes while one looks has times, too.
    browser
        .open(&format!(
            "{}/runs/{}/log",
            world.stage.url(),
            world.running.run
        ))
        .await;
    let start = "==> Starting build()...\n".len() as u64;
    world.append(start, b"another line\n").await;
    browser
        .until("/^00:0\\d:\\d\\d$/.test(document.querySelector('#L2 > time')?.textContent)")
        .await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_neighbourhood_moves_and_scales() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = format!("{}/namespaces/n/1/x86_64/tool/1", world.stage.url());
    browser.open(&page).await;
    browser.until("document.querySelector('.graph.live')").await;
    let width = "Number(document.querySelector('.graph svg').getAttribute('width'))";
    let begin = browser
        .run(&format!("return {width}"))
        .await
        .as_f64()
        .unwrap();
    browser.click(".graph-tools [data-zoom=in]").await;
    browser.until(&format!("{width} > {begin} * 1.2")).await;
    browser
        .run("document.querySelector('.graph').focus()")
        .await;
    for _ in 0..9 {
        browser.press("+").await;
    }
    browser.until(&format!("{width} === {begin} * 3")).await;
    let left = "document.querySelector('.graph').scrollLeft";
    let before = browser
        .run(&format!("return {left}"))
        .await
        .as_f64()
        .unwrap();
    browser
        .press(&char::from(fantoccini::key::Key::Right).to_string())
        .await;
    browser.until(&format!("{left} > {before}")).await;
    // The wheel makes it smaller again, around the pointer.
    browser
        .run("document.querySelector('.graph').dispatchEvent(new WheelEvent('wheel', { deltaY: 100, clientX: 300, clientY: 300, bubbles: true, cancelable: true }))")
        .await;
    browser.until(&format!("{width} < {begin} * 2.6")).await;
    // Dragging moves it, and follows no link.
    let now = browser
        .run(&format!("return {left}"))
        .await
        .as_f64()
        .unwrap();
    let drag = "const node = document.querySelector('.graph a');
        const at = (kind, x) => new PointerEvent(kind, { clientX: x, clientY: 300, button: 0, bubbles: true, cancelable: true });
        node.dispatchEvent(at('pointerdown', 300));
        dispatchEvent(at('pointermove', 270));
        dispatchEvent(at('pointerup', 270));
        node.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));";
    browser.run(drag).await;
    browser
        .until(&format!("Math.abs({left} - {now} - 30) < 2"))
        .await;
    assert_eq!(
        browser.page.current_url().await.unwrap().path(),
        "/namespaces/n/1/x86_64/tool/1"
    );
    // What somebody looks at stays when the page is fetched anew.
    world.worker.succeed(&world.running).await;
    browser
        .until("document.querySelector('.graph .node.built + text')")
        .await;
    browser
        .until(&format!("Math.abs({left} - {now} - 30) < 2"))
        .await;
    browser.picture("graph").await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_follows_leaves_alone_what_somebody_works_with() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    browser.open(&(world.stage.url() + "/namespaces/n")).await;
    browser.until("document.querySelector('.map .here')").await;
    browser
        .run("document.querySelector('input[name=text]').value = 'half a na';
              document.querySelector('input[name=text]').focus();
              const events = document.querySelector('.events').parentElement;
              events.open = true;
              window.kept = [document.querySelector('.map'), events, document.querySelector('tr[data-build=\"x86_64/lib/1\"]')];")
        .await;
    world.worker.succeed(&world.running).await;
    browser
        .until("document.querySelector('.counts').textContent.includes('2 built')")
        .await;
    let seen = browser
        .run(
            "return [document.querySelector('input[name=text]').value, document.activeElement.name,
              window.kept.every((one) => one.isConnected), window.kept[1].open]",
        )
        .await;
    assert_eq!(seen, serde_json::json!(["half a na", "text", true, true]));
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_first_of_a_log_is_in_view() {
    let world = Eventful::start().await;
    let lines: String = (2..3_000).map(|n| format!("line {n}\n")).collect();
    let start = "==> Starting build()...\n".len() as u64;
    world.append(start, lines.as_bytes()).await;
    world.worker.succeed(&world.running).await;
    world
        .comes_to("other", buildbtw_api::BuildStatus::Built)
        .await;
    let browser = Browser::start(Look::default()).await;
    // Whether an element lies in the part of a box that is seen.
    let seen = |what: &str, of: &str| {
        format!(
            "(() => {{ const one = [...document.querySelectorAll('{what}')].at(-1)?.getBoundingClientRect();
              const box = document.querySelector('{of}')?.getBoundingClientRect();
              return one && box && one.top >= box.top - 1 && one.bottom <= box.bottom + 1; }})()"
        )
    };
    for (pkgbase, line) in [("tool", ".excerpt li.error"), ("other", ".excerpt li")] {
        let page = format!("/namespaces/n/1/x86_64/{pkgbase}/1");
        browser.open(&(world.stage.url() + &page)).await;
        browser.until(&seen(line, ".excerpt")).await;
        browser
            .run("document.querySelector('.excerpt').scrollIntoView()")
            .await;
        browser.picture(&format!("excerpt-{pkgbase}")).await;
    }
    let log = format!("{}/runs/{}/log", world.stage.url(), world.running.run);
    browser.open(&log).await;
    browser.click("a[href$='#end']").await;
    let at = "document.querySelector('#L2999')?.getBoundingClientRect()";
    browser
        .until(&format!(
            "{at} && {at}.top > 0 && {at}.bottom < innerHeight"
        ))
        .await;
    // What leads to a line is above it.
    browser.open("about:blank").await;
    browser.open(&format!("{log}?from=1980#L2000")).await;
    let at = "document.querySelector('#L2000')?.getBoundingClientRect()";
    browser.until(&format!("{at} && {at}.top > 100")).await;
    browser.close().await;
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_lets_nothing_be_copied_is_no_mistake() {
    let world = Eventful::start().await;
    let browser = Browser::start(Look::default()).await;
    let page = "/namespaces/n/1/x86_64/tool/1";
    browser.open(&(world.stage.url() + page)).await;
    browser.until("document.querySelector('.graph.live')").await;
    let refuse = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
        addEventListener('unhandledrejection', () => { window.thrown = true; });
        document.querySelector('button.copy').click();";
    browser.run(refuse).await;
    browser
        .until("document.querySelector('button.copy').textContent.includes('does not let')")
        .await;
    assert_eq!(browser.run("return window.thrown ?? false").await, false);
    browser.close().await;
    world.stage.stop().await;
}
