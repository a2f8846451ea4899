//! Repositories as any HTTP client sees them.

use reqwest::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RANGE,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, make};

pub fn client(follow_redirects: bool) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = match follow_redirects {
        true => reqwest::redirect::Policy::default(),
        false => reqwest::redirect::Policy::none(),
    };
    reqwest::Client::builder().redirect(policy).build().unwrap()
}

pub async fn get(url: &str) -> reqwest::Response {
    client(false)
        .get(url)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap()
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

#[tokio::test]
async fn dbs_redirect_to_their_generation() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let made = make("a+b", "1:1-1", "x");
    for (iteration, folder) in [("1", ""), ("latest", "../../../1/os/x86_64/")] {
        for name in ["kde.db", "kde.files", "kde.db.tar.zst", "kde.files.tar.zst"] {
            let url = format!("{}/repo/kde/{iteration}/os/x86_64/{name}", world.url);
            let response = client(false).get(&url).send().await.unwrap();
            assert_eq!(response.status(), 302);
            assert_eq!(
                text(response.headers(), LOCATION),
                format!("{folder}g/0/{name}")
            );
        }
    }
    world.publish(set, std::slice::from_ref(&made)).await;
    let url = format!("{}/repo/kde/latest/os/x86_64/kde.db", world.url);
    let response = client(true).get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.url().path(), "/repo/kde/1/os/x86_64/g/1/kde.db");
    let url = format!("{}/repo/kde/latest/os/x86_64/{}", world.url, made.file_name);
    let response = client(true).get(&url).send().await.unwrap();
    assert_eq!(
        response.url().path(),
        format!("/repo/kde/1/os/x86_64/{}", made.file_name)
    );
    assert_eq!(response.bytes().await.unwrap(), made.bytes);
}

#[tokio::test]
async fn an_archived_namespace_stays_readable_also_when_its_name_is_used_again() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let (old, new) = (make("a", "1-1", "old"), make("a", "1-1", "new"));
    world.publish(set, std::slice::from_ref(&old)).await;
    world.archive("kde").await;
    let url = format!("{}/repo/kde/1/os/x86_64/{}", world.url, old.file_name);
    assert_eq!(get(&url).await.bytes().await.unwrap(), old.bytes);
    let next = world.iteration("kde").await;
    world.publish(next, std::slice::from_ref(&new)).await;
    assert_eq!(get(&url).await.bytes().await.unwrap(), old.bytes);
    let url = url.replace("/kde/1/", "/kde/2/");
    assert_eq!(get(&url).await.bytes().await.unwrap(), new.bytes);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_and_parts_are() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let made = make("a", "1-1", "x");
    let published = world.publish(set, std::slice::from_ref(&made)).await;
    let address = format!("{}/repo/kde/1/os/x86_64", world.url);
    for url in [
        format!("{address}/{}", made.file_name),
        format!("{address}/g/1/kde.files"),
    ] {
        let whole = get(&url).await;
        let headers = whole.headers().clone();
        let bytes = whole.bytes().await.unwrap();
        assert_eq!(text(&headers, CONTENT_LENGTH), bytes.len().to_string());
        assert_eq!(text(&headers, ACCEPT_RANGES), "bytes");
        assert_eq!(text(&headers, CACHE_CONTROL), "no-cache");
        let (tag, time) = (text(&headers, ETAG), text(&headers, LAST_MODIFIED));
        for (name, value) in [(IF_NONE_MATCH, tag), (IF_MODIFIED_SINCE, time)] {
            let response = client(false)
                .get(&url)
                .header(name, value)
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 304);
            assert_eq!(text(response.headers(), ETAG), tag);
            assert_eq!(response.bytes().await.unwrap(), "");
        }
        let earlier = "Thu, 01 Jan 2015 00:00:00 GMT";
        let response = client(false)
            .get(&url)
            .header(IF_MODIFIED_SINCE, earlier)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let end = bytes.len();
        for (range, from, to) in [
            ("bytes=0-9".to_owned(), 0, 10),
            ("bytes=7-".to_owned(), 7, end),
            ("bytes=-5".to_owned(), end - 5, end),
            (format!("bytes=3-{}", end - 2), 3, end - 1),
        ] {
            let response = client(false)
                .get(&url)
                .header(RANGE, range)
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 206);
            assert_eq!(
                text(response.headers(), CONTENT_RANGE),
                format!("bytes {from}-{}/{end}", to - 1)
            );
            assert_eq!(response.bytes().await.unwrap(), bytes[from..to]);
        }
        let response = client(false)
            .get(&url)
            .header(RANGE, format!("bytes={end}-"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 416);
        assert_eq!(
            text(response.headers(), CONTENT_RANGE),
            format!("bytes */{end}")
        );
        let head = client(false)
            .head(&url)
            .header(RANGE, "bytes=0-1")
            .send()
            .await
            .unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(text(head.headers(), CONTENT_LENGTH), end.to_string());
        assert_eq!(text(head.headers(), ETAG), tag);
    }
    let db = get(&format!("{address}/g/1/kde.db")).await;
    let modified = httpdate::parse_http_date(text(db.headers(), LAST_MODIFIED)).unwrap();
    let seconds = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert_eq!(seconds, u64::try_from(published.published_at).unwrap());
}

/// Sends a request line as it is: clients tidy paths up before they send them.
async fn raw(world: &World, path: &str) -> String {
    let address = world.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nothing_leads_out_of_a_repository() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let made = make("a", "1-1", "x");
    world.publish(set, std::slice::from_ref(&made)).await;
    let received = world.receive(&make("received-only", "1-1", "x")).await;
    let name = &made.file_name;
    let at = "/repo/kde/1/os/x86_64";
    for path in [
        format!("{at}/{name}.sig"),
        format!("{at}/g/1/{name}.sig"),
        format!("{at}/kde.db.sig"),
        format!("{at}/g/1/kde.db.sig"),
        format!("{at}/kde.db.tar.gz"),
        format!("{at}/other.db"),
        format!("{at}/{}", received.file_name),
        format!("{at}/.."),
        format!("{at}/%2e%2e"),
        format!("{at}/../x86_64/{name}"),
        format!("{at}/..%2f..%2f..%2f..%2f..%2fbuildbtw.db"),
        format!("{at}/%2fetc%2fpasswd"),
        format!("{at}/g/1/..%2fkde.db"),
        format!("{at}/g/01/kde.db"),
        format!("{at}/g/-1/kde.db"),
        format!("{at}/g/99999999999999999999/kde.db"),
        format!("{at}/g/2/kde.db"),
        format!("{at}/a%00-1-1-x86_64.pkg.tar.zst"),
        format!("/repo/kde/2/os/x86_64/{name}"),
        format!("/repo/kde/01/os/x86_64/{name}"),
        format!("/repo/kde/latest/os/x86_64/g/1/{name}"),
        format!("/repo/kde/1/os/aarch64/{name}"),
        format!("/repo/kde/1/os/x86_64%2f..%2fx86_64/{name}"),
        format!("/repo/none/1/os/x86_64/{name}"),
        format!("/repo/k%64e%2f/1/os/x86_64/{name}"),
    ] {
        let answer = raw(&world, &path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}\n{answer}");
    }
    // Not of UTF-8: no name of ours.
    let answer = raw(&world, &format!("{at}/%ff")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let missing = client(false)
        .get(format!("{}{at}/{name}.sig", world.url))
        .send()
        .await
        .unwrap();
    assert_eq!(
        text(missing.headers(), CONTENT_TYPE),
        "application/problem+json"
    );
    // The same path with its letters escaped is the same path.
    let escaped = raw(&world, &format!("{at}/%61-1-1-x86_64.pkg.tar.zst")).await;
    assert!(escaped.starts_with("HTTP/1.1 200 "), "{escaped}");
}

#[tokio::test]
async fn a_package_that_is_lost_is_an_error_and_no_wrong_answer() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let made = make("a", "1-1", "x");
    world.publish(set, std::slice::from_ref(&made)).await;
    std::fs::remove_dir_all(world.folder.path().join("packages")).unwrap();
    let url = format!("{}/repo/kde/1/os/x86_64/{}", world.url, made.file_name);
    assert_eq!(client(false).get(&url).send().await.unwrap().status(), 500);
}
