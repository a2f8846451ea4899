//! Pages of logs without a browser: what of a log they show, find and keep the address of.

use buildbtw_graph::Scope;

use crate::plain::{client, text};
use crate::stage::{Worker, until};
use crate::world::{Eventful, HOSTILE};

#[tokio::test]
async fn a_log_does_nothing_but_appear() {
    let world = Eventful::start().await;
    let start = "==> Starting build()...\n".len() as u64;
    world.append(start, HOSTILE.as_bytes()).await;
    let log = format!("/runs/{}/log?from=1", world.failed.run);
    for path in [log.as_str(), "/namespaces/n/1/x86_64/other/1"] {
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
    assert_eq!(
        find(&format!("q=PART-1&after={}&back=true", number(&second))).await,
        first
    );
    let shown = text(&world, second.split('#').next().unwrap()).await;
    assert!(
        shown.contains("2 of 10, in line 11") && shown.contains("Previous"),
        "{shown}"
    );
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
    // The link to the end leads to the last line, and a number behind it shows the same.
    assert!(end.contains(&format!("href=\"{page}#end\">End<")), "{end}");
    assert!(end.rfind("id=\"end\"") > end.rfind("id=\"L61\""), "{end}");
    let behind = text(&world, &format!("{page}?from=99999999")).await;
    assert!(behind.contains("href=\"?from=1#L60\""), "{behind}");
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

#[tokio::test]
async fn the_page_of_a_failed_build_shows_and_quotes_its_first_error() {
    let world = Eventful::start().await;
    let page = text(&world, "/namespaces/n/1/x86_64/tool/1").await;
    let log = format!("/runs/{}/log", world.failed.run);
    let quoted = format!(
        "<a href=\"{log}?from=40#L60\">in line 60</a>: \
         <code>part-60.c:3:5: error: expected &#39;;&#39;</code>"
    );
    assert!(page.contains(&quoted), "{page}");
    let shown = page.split("<ol class=\"lines\">").nth(1).unwrap();
    let first = shown.split("</li>").next().unwrap();
    let line = format!("<a href=\"{log}?from=52#L52\">52</a><span>cc -c part-52.c</span>");
    assert!(first.contains(&line), "{first}");
    assert!(shown.contains("class=\"error\""), "{shown}");
    world.stage.stop().await;
}

#[tokio::test]
async fn the_log_of_what_was_taken_over_is_a_click_away() {
    let world = Eventful::start().await;
    world
        .stage
        .namespace("again", &["lib/main"], Scope::None)
        .await;
    let page = async || text(&world, "/packages/lib").await;
    let worker = Worker::register(world.stage.worker_client(), "v").await;
    let done = until(&world.stage, || async {
        page().await.contains("status reused")
    });
    tokio::select! {
        _ = worker.claim() => panic!("there is nothing to build"),
        () = done => {}
    }
    let page = page().await;
    let row = page.split("/namespaces/again/1/").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    let log = row.split("href=\"").nth(1).unwrap();
    let log = log.split('"').next().unwrap();
    assert!(row.contains("log of the run it took them from"), "{row}");
    assert_eq!(page.matches(log).count(), 2, "{page}");
    // It was done when its packages were taken over.
    let again = text(&world, "/namespaces/again").await;
    assert!(again.contains(", finished <time"), "{again}");
    world.stage.stop().await;
}
