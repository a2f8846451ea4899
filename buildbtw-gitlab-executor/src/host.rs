//! The configuration of a Runner's host: which servers it builds for, where, and with what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use buildbtw_api::amounts;
use buildbtw_api::client::Client;
use buildbtw_api::runs::RootMode;
use buildbtw_build::{BuilderKind, Limits, Storage};
use buildbtw_worker::builder::Setup;
use buildbtw_worker::token;
use serde::{Deserialize, Deserializer};
use url::Url;

/// How long a claim is tried while the server does not answer, unless the host says otherwise. A
/// server that is started anew is back long before.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The file, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    folder: PathBuf,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "server")]
    servers: Vec<Server>,
    #[serde(default, deserialize_with = "patience")]
    patience: Option<Duration>,
    #[serde(default)]
    builder: BuilderKind,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    jobs: Option<u32>,
    #[serde(default)]
    fake_rules: Option<PathBuf>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    root_modes: Vec<RootMode>,
    #[serde(default)]
    limits: LimitsFile,
}

/// A server that this host builds for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its address.
    pub url: Url,
    /// The file with the workers' token for it.
    pub token_file: PathBuf,
}

/// Limits of one build, as they are written: `2h`, `8G`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsFile {
    time: Option<String>,
    silence: Option<String>,
    memory: Option<String>,
    disk: Option<String>,
    log: Option<String>,
}

fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    amounts::time(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

impl LimitsFile {
    fn read(&self) -> Result<Limits, String> {
        let size = |text: &Option<String>| text.as_deref().map(amounts::size).transpose();
        let time = |text: &Option<String>| text.as_deref().map(amounts::time).transpose();
        let usual = Limits::default();
        Ok(Limits {
            time: time(&self.time)?.unwrap_or(usual.time),
            silence: time(&self.silence)?.unwrap_or(usual.silence),
            memory: size(&self.memory)?,
            disk: size(&self.disk)?.unwrap_or(usual.disk),
            log: size(&self.log)?.unwrap_or(usual.log),
        })
    }
}

/// What this host offers, and to whom.
#[derive(Debug, Clone)]
pub struct Host {
    /// The file that says so.
    pub path: PathBuf,
    /// The folder in which jobs are carried out.
    pub folder: PathBuf,
    /// The name under which people see this host.
    pub name: String,
    /// The servers it builds for.
    pub servers: Vec<Server>,
    /// How long a claim is tried while the server does not answer.
    pub patience: Duration,
    setup: Setup,
}

impl Host {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// When it is not there, or says something that makes no sense.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read the configuration of this host, {} (--config or \
                 BUILDBTW_EXECUTOR_CONFIG names another file)",
                path.display()
            )
        })?;
        Self::parse(path, &text)
            .with_context(|| format!("{} is no configuration of a host", path.display()))
    }

    fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let file: File = basic_toml::from_str(text)?;
        if !file.folder.is_absolute() {
            // The Runner calls this program in another folder each time.
            bail!("`folder` must be an absolute path");
        }
        let limits = file.limits.read().map_err(anyhow::Error::msg)?;
        let mut hidden = vec![file.folder.clone(), path.to_owned()];
        hidden.extend(file.servers.iter().map(|server| server.token_file.clone()));
        // Nothing is where no file is.
        let hidden = hidden.iter().filter_map(|path| path.canonicalize().ok());
        let setup = Setup {
            kind: file.builder,
            storage: file.storage,
            jobs: file.jobs,
            fake_rules: file.fake_rules,
            limits,
            // The Runner's `concurrent` says how many jobs there are at once; each has a run.
            slots: 1,
            labels: file.labels,
            architectures: file.architectures,
            root_modes: file.root_modes,
            hidden: hidden.collect(),
        };
        let name = file.name.filter(|name| !name.trim().is_empty());
        Ok(Self {
            path: path.to_owned(),
            folder: file.folder,
            name: name
                .or_else(buildbtw_worker::host_name)
                .unwrap_or_else(|| "runner".to_owned()),
            servers: file.servers,
            patience: file.patience.unwrap_or(PATIENCE),
            setup,
        })
    }

    /// How this host builds.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The server that a pipeline names, if this host builds for it. Pipelines are made by whoever may
    /// push: none of them may send this host's token to a stranger.
    ///
    /// # Errors
    ///
    /// When the configuration does not name it.
    pub fn server(&self, address: &str) -> anyhow::Result<&Server> {
        let wanted: Option<Url> = address.parse().ok();
        let known = self.servers.iter().find(|server| {
            let wanted = wanted.as_ref();
            wanted.is_some_and(|wanted| comparable(wanted) == comparable(&server.url))
        });
        known.with_context(|| {
            format!(
                "the pipeline names the server {address:?}, and this host does not build for that\n  \
                 hint: if it should, name it in a [[server]] of {}",
                self.path.display()
            )
        })
    }
}

impl Server {
    /// A client that shows this host's token.
    ///
    /// # Errors
    ///
    /// When there is no token, or others can read it.
    pub fn client(&self) -> anyhow::Result<Client> {
        let token = token::read(&self.token_file)?;
        Ok(Client::new(self.url.as_str(), Some(token))?)
    }
}

/// An address without what makes no difference.
fn comparable(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        folder = "/var/lib/buildbtw-executor"
        name = "runner-7"
        builder = "devtools"
        root_modes = ["packages"]
        patience = "90s"

        [[server]]
        url = "https://buildbtw.example.org"
        token_file = "/etc/buildbtw/token"

        [[server]]
        url = "http://127.0.0.1:8080/sub/"
        token_file = "/etc/buildbtw/other-token"

        [limits]
        time = "2h 30m"
        memory = "8G"
    "#;

    fn host() -> Host {
        Host::parse(Path::new("/etc/buildbtw/executor.toml"), FILE).unwrap()
    }

    #[test]
    fn a_configuration_is_read() {
        let host = host();
        assert_eq!(host.name, "runner-7");
        assert_eq!(host.patience, Duration::from_secs(90));
        let setup = host.setup();
        assert_eq!(setup.kind, BuilderKind::Devtools);
        assert_eq!(setup.root_modes, [RootMode::Packages]);
        assert_eq!(setup.limits.time, Duration::from_secs(9000));
        assert_eq!(setup.limits.memory, Some(8 << 30));
        assert_eq!(setup.limits.disk, Limits::default().disk);
    }

    #[test]
    fn only_servers_of_the_configuration_are_spoken_with() {
        let host = host();
        let token = |address: &str| {
            let server = host.server(address).ok()?;
            server.token_file.to_str()
        };
        assert_eq!(
            token("https://buildbtw.example.org/"),
            Some("/etc/buildbtw/token")
        );
        assert_eq!(
            token("http://127.0.0.1:8080/sub"),
            Some("/etc/buildbtw/other-token")
        );
        for stranger in [
            "",
            "buildbtw.example.org",
            "http://buildbtw.example.org",
            "https://buildbtw.example.org.evil.example",
            "https://buildbtw.example.org:8443",
            "https://buildbtw.example.org/elsewhere",
            "https://buildbtw.example.org@evil.example",
            "https://evil.example/?https://buildbtw.example.org",
            "http://127.0.0.1:8080",
        ] {
            assert_eq!(token(stranger), None, "{stranger}");
        }
        let message = host.server("https://evil.example").unwrap_err().to_string();
        assert!(message.contains("/etc/buildbtw/executor.toml"), "{message}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, word) in [
            ("", "folder"),
            ("folder = \"here\"", "absolute"),
            ("folder = \"/f\"\nbilder = \"sandbox\"", "bilder"),
            ("folder = \"/f\"\nbuilder = \"oven\"", "oven"),
            ("folder = \"/f\"\n[limits]\ndisk = \"much\"", "much"),
            ("folder = \"/f\"\npatience = \"long\"", "long"),
            (
                "folder = \"/f\"\n[[server]]\nurl = \"nowhere\"\ntoken_file = \"t\"",
                "URL",
            ),
        ] {
            let error = Host::parse(Path::new("/f.toml"), text).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{text}: {error:#}");
        }
    }
}
