//! Starts a fake GitLab by hand, to look at buildbtw beside it.

use std::net::SocketAddr;
use std::path::PathBuf;

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::repository::NewFile;
use clap::Parser;

/// A GitLab that forgets everything when it ends.
#[derive(Debug, Parser)]
#[command(version)]
struct Settings {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:8929")]
    listen: SocketAddr,

    /// The group of the package repositories.
    #[arg(long, default_value = "archlinux/packaging/packages")]
    group: String,

    /// The token that is taken, with all rights.
    #[arg(long, default_value = "glpat-for-trying-out")]
    token: String,

    /// Folders of package sources: each becomes a project with one commit.
    sources: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::parse();
    let fake = FakeGitLab::start_at(settings.listen).await?;
    fake.token(&settings.token, &[Scope::Api], Role::Admin);
    fake.group(&settings.group);
    for folder in &settings.sources {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| format!("{} has no name", folder.display()))?;
        let mut files = Vec::new();
        read_folder(folder, "", &mut files)?;
        let files: Vec<(&str, NewFile)> = files
            .iter()
            .map(|(path, file)| (path.as_str(), file.clone()))
            .collect();
        let project = fake.project(&settings.group, name, name)?;
        fake.push(project, "main", "the beginning", &files)?;
        println!(
            "{} is {}",
            folder.display(),
            fake.git_folder(project)?.display()
        );
    }
    println!("GITLAB_DOMAIN={}", fake.url());
    println!("GITLAB_PACKAGES_GROUP={}", settings.group);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn read_folder(
    folder: &std::path::Path,
    prefix: &str,
    files: &mut Vec<(String, NewFile)>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == ".git" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push((path, NewFile::Bytes(std::fs::read(entry.path())?)));
        }
    }
    Ok(())
}
