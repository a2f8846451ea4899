//! Addresses that lead nowhere or are written wrongly, and requests that are refused: all of them get a page.

use crate::plain::client;
use crate::world::Eventful;

/// The status and the text of what comes for an address, as a browser asks for it.
async fn page(world: &Eventful, path: &str) -> (u16, String) {
    let request = client()
        .get(world.stage.url() + path)
        .header("accept", "text/html");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_address_that_makes_no_sense_leads_to_a_page_with_ways_on() {
    let world = Eventful::start().await;
    let log = format!("/runs/{}/log", world.failed.run);
    for (path, status, way) in [
        ("/archive?page=-1", 400, "href=\"/\""),
        (
            "/namespaces/n?page=99999999999999999999",
            400,
            "href=\"/namespaces/n\"",
        ),
        ("/packages/%ff", 400, "href=\"/sources\""),
        ("/packages/nope", 404, "href=\"/search?q=nope\""),
        ("/namespaces/n/-1", 404, "href=\"/namespaces/n\""),
        (
            "/namespaces/n/1/x86_64/tool/x",
            404,
            "href=\"/namespaces/n\"",
        ),
        ("/namespaces/nope/1", 404, "a part of their name"),
        (&format!("{log}?from=abc"), 400, &format!("href=\"{log}\"")),
        (&format!("{log}?from="), 400, &format!("href=\"{log}\"")),
    ] {
        let (got, text) = page(&world, path).await;
        assert_eq!(got, status, "{path}: {text}");
        let main = text.split("<main").nth(1).unwrap_or_default();
        assert!(main.contains(way), "{path}: {text}");
        assert!(text.contains("<nav aria-label=\"Pages\">"), "{path}");
        for raw in ["deserialize", "bbtw"] {
            assert!(!main.contains(raw), "{path}: {main}");
        }
    }
    world.stage.stop().await;
}

#[tokio::test]
async fn an_address_that_is_nearly_right_leads_there() {
    let world = Eventful::start().await;
    for (path, place) in [
        ("/namespaces/n/", Some("/namespaces/n")),
        (
            "/namespaces/n/1/?status=built",
            Some("/namespaces/n/1?status=built"),
        ),
        (
            "/namespaces/n/1/x86_64/tool",
            Some("/namespaces/n/1/x86_64/tool/1"),
        ),
        ("/namespaces", Some("/")),
        // Nobody is led to another host.
        ("//example.org/", None),
        ("/\\example.org/", None),
    ] {
        let request = client().get(world.stage.url() + path);
        let answer = request.header("accept", "text/html").send().await;
        let answer = answer.unwrap();
        let found = answer.headers().get("location");
        assert_eq!(found.map(|it| it.to_str().unwrap()), place, "{path}");
    }
    world.stage.stop().await;
}

#[tokio::test]
async fn who_is_refused_sees_it_on_a_page() {
    let world = Eventful::start().await;
    let cancel = world.stage.url() + "/namespaces/n/cancel";
    let send = async |headers: &[(&'static str, &'static str)]| {
        let mut request = client().post(&cancel).form(&[("x", "y")]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let browser = ("accept", "text/html");
    let (status, said) = send(&[browser, ("origin", "https://example.org")]).await;
    assert!(status == 403 && said.contains("</html>"), "{status} {said}");
    // A browser that leaves out the origin still says that it was another site.
    for site in ["cross-site", "same-site"] {
        let (status, said) = send(&[browser, ("sec-fetch-site", site)]).await;
        assert!(status == 403 && said.contains(site), "{status} {said}");
    }
    let (status, said) = send(&[("origin", "https://example.org")]).await;
    assert!(status == 403 && said.starts_with('{'), "{status} {said}");
    let answer = client().delete(world.stage.url() + "/namespaces");
    let answer = answer.header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 405);
    assert!(answer.text().await.unwrap().contains("</html>"));
    let (status, _) = send(&[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(status, 303);
    world.stage.stop().await;
}
