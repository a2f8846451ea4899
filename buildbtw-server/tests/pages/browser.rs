//! Chromium, driven by its own driver over the WebDriver protocol (W3C).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything on a page may take before the test gives up, in milliseconds.
const PATIENCE_MS: u64 = 30_000;

/// Windows below this width are shown as those of a telephone.
const NARROW: u32 = 600;

/// How a window looks.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub dark: bool,
    pub script: bool,
    /// Scripts can have memory collected, and see how much they take.
    pub precise_memory: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 1280,
            dark: false,
            script: true,
            precise_memory: false,
        }
    }
}

/// A browser with one window. It must be closed with [`Browser::close`].
pub struct Browser {
    pub page: Client,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts driver and browser, with a profile of their own.
    ///
    /// # Panics
    ///
    /// Where they are not installed: `./bootstrap.sh test` does that.
    pub async fn start(look: Look) -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips="])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; `./bootstrap.sh test` installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .find_map(|line| {
                let line = line.ok()?;
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        // What it says later must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            format!("--window-size={},900", look.width),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if look.precise_memory {
            arguments.push("--enable-precise-memory-info".to_owned());
            arguments.push("--js-flags=--expose-gc".to_owned());
        }
        if look.dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let script = if look.script { 1 } else { 2 };
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {"profile.managed_default_content_settings.javascript": script},
            },
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": PATIENCE_MS},
        });
        let Value::Object(mut capabilities) = capabilities else {
            unreachable!("an object was written")
        };
        // No window is as narrow as a telephone.
        if look.width < NARROW {
            let metrics = json!({"width": look.width, "height": 800, "pixelRatio": 1.0});
            capabilities["goog:chromeOptions"]["mobileEmulation"] =
                json!({"deviceMetrics": metrics});
        }
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let page = ClientBuilder::new(connector)
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser starts");
        Self {
            page,
            driver,
            _profile: profile,
        }
    }

    /// Goes to an address.
    pub async fn open(&self, address: &str) {
        self.page.goto(address).await.unwrap();
    }

    /// Clicks what a selector of CSS finds first.
    pub async fn click(&self, selector: &str) {
        let found = self.page.find(fantoccini::Locator::Css(selector)).await;
        let found = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        found.click().await.unwrap();
    }

    /// Presses keys, wherever the page has its focus.
    pub async fn press(&self, keys: &str) {
        let focused = self.page.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// Runs a script in the page; what it returns comes back.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true of the page, by watching the page change.
    ///
    /// # Panics
    ///
    /// When it does not become true in time.
    pub async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const check = () => {{ if ({expression}) {{ observer.disconnect(); done(true); }} }};
             const observer = new MutationObserver(check);
             observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
             check();"
        );
        let end = Instant::now() + Duration::from_millis(PATIENCE_MS);
        // A page that is loaded anew takes the script with it: it is begun again in the new one.
        while let Err(error) = self.page.execute_async(&script, Vec::new()).await {
            if Instant::now() < end {
                continue;
            }
            let text = self.run("return document.body.innerText").await;
            let text = text.as_str().unwrap_or_default();
            panic!("{expression} did not become true: {error}\n{text}");
        }
    }

    /// Keeps a picture of the page as output of the test.
    pub async fn picture(&self, name: &str) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.page.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// Ends browser and driver.
    pub async fn close(mut self) {
        let _ = self.page.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
