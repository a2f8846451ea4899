//! Pages of logs without a browser: what of a log they show, find and keep the address of.

use crate::plain::{client, text};
use crate::world::Eventful;

#[tokio::test]
async fn a_log_does_nothing_but_appear() {
    let world = Eventful::start().await;
    let log = format!("/runs/{}/log?from=1", world.failed.run);
    for path in [log.as_str(), "/namespaces/n/1/x86_64/tool/1"] {
        let text = text(&world, path).await;
        assert!(text.contains("&lt;script&gt;document.title"), "{path}");
        assert!(text.contains("<span class=\"c1\">red</span>"), "{path}");
        for bad in ["<script>document", "<img src=x", "\u{202e}", "\u{1b}"] {
            assert!(!text.contains(bad), "{path} contains {bad:?}");
        }
    }
    world.stage.stop().await;
}

#[tokio::test]
async fn the_first_error_is_found_and_lines_keep_their_numbers() {
    let world = Eventful::start().await;
    let path = format!("/runs/{}/log/first-error", world.failed.run);
    let answer = client()
        .get(world.stage.url() + &path)
        .send()
        .await
        .unwrap();
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(place, format!("/runs/{}/log?from=40#L60", world.failed.run));
    let text = text(&world, place.split('#').next().unwrap()).await;
    assert!(
        text.contains("id=\"L40\"") && !text.contains("id=\"L39\""),
        "{text}"
    );
    assert!(
        text.contains("href=\"/runs/"),
        "there is a way back to earlier lines"
    );
    world.stage.stop().await;
}

#[tokio::test]
async fn a_log_is_searched_from_line_to_line() {
    let world = Eventful::start().await;
    let page = format!("/runs/{}/log", world.failed.run);
    let find = async |query: &str| {
        let url = format!("{}{page}/find?{query}", world.stage.url());
        let answer = client().get(url).send().await.unwrap();
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let first = find("q=PART-1").await;
    let number = |place: &str| -> u64 { place.rsplit("#L").next().unwrap().parse().unwrap() };
    assert!(first.starts_with(&format!("{page}?from=")), "{first}");
    let second = find(&format!("q=PART-1&after={}", number(&first))).await;
    assert!(number(&second) > number(&first), "{first} {second}");
    // Behind the last one it begins anew.
    assert_eq!(find("q=PART-1&after=100000").await, first);
    let shown = text(&world, first.split('#').next().unwrap()).await;
    assert!(
        shown.contains("value=\"PART-1\"") && shown.contains("Next"),
        "{shown}"
    );
    let nowhere = find("q=%3Cb%3E%26").await;
    assert_eq!(nowhere, format!("{page}?q=%3Cb%3E%26"));
    let shown = text(&world, &nowhere).await;
    assert!(
        shown.contains("“&#60;b&#62;&#38;” does not appear"),
        "{shown}"
    );
    world.stage.stop().await;
}

#[tokio::test]
async fn lines_of_a_log_have_times_and_addresses_that_stay() {
    let world = Eventful::start().await;
    let page = format!("/runs/{}/log", world.failed.run);
    let end = text(&world, &page).await;
    assert!(end.contains("<time>00:00:0"), "{end}");
    // Without a script, too, the address of a line says where the page begins.
    assert!(end.contains("href=\"?from=1#L60\""), "{end}");
    let part = text(&world, &format!("{page}?from=40")).await;
    assert!(part.contains("href=\"#L60\""), "{part}");
    world.stage.stop().await;
}

#[tokio::test]
async fn a_long_log_is_shown_by_windows() {
    let world = Eventful::start().await;
    let start = "==> Starting build()...\n".len() as u64;
    // Six megabytes: more than one page shows, and more than is looked through at once.
    let lines: Vec<String> = (2..60_001)
        .map(|number| format!("line {number} {}\n", "x".repeat(80 + number % 7)))
        .collect();
    let mut offset = start;
    for part in lines.chunks(20_000) {
        let part = part.concat();
        world.append(offset, part.as_bytes()).await;
        offset += part.len() as u64;
    }
    world
        .append(offset, b"a.c:1:1: error: the last line\n")
        .await;
    let page = format!("/runs/{}/log", world.running.run);
    let number = |html: &str, last: bool| -> u64 {
        let mark = "<li id=\"L";
        let at = if last {
            html.rfind(mark)
        } else {
            html.find(mark)
        }
        .unwrap();
        let text = &html[at + "<li id=\"L".len()..];
        text.split('"').next().unwrap().parse().unwrap()
    };
    let end = text(&world, &page).await;
    assert_eq!((number(&end, false), number(&end, true)), (58_002, 60_001));
    assert!(end.contains("data-follow-from") && end.contains("href=\"?from=58002#L60000\""));
    let middle = text(&world, &format!("{page}?from=30000")).await;
    assert_eq!(
        (number(&middle, false), number(&middle, true)),
        (30_000, 31_999)
    );
    assert!(middle.contains("<span>line 31999 x") && middle.contains("?from=32000"));
    assert!(!middle.contains("data-follow-from"), "it is not the end");
    let find = async |what: &str| {
        let url = format!("{}{page}/{what}", world.stage.url());
        let answer = client().get(url).send().await.unwrap();
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(
        find("first-error").await,
        format!("{page}?from=59981#L60001")
    );
    assert!(find("find?q=LINE+45678+").await.ends_with("#L45678"));
    assert_eq!(find("find?q=nowhere").await, format!("{page}?q=nowhere"));
    let raw = format!(
        "{}/api/v1/runs/{}/log",
        world.stage.url(),
        world.running.run
    );
    let raw = client()
        .get(raw)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(
        raw.len(),
        offset as usize + "a.c:1:1: error: the last line\n".len()
    );
    world.stage.stop().await;
}
