//! Writes the GraphQL schema of a live GitLab into a file, for `just update-graphql-schema`.

use std::path::PathBuf;
use std::process::ExitCode;

use buildbtw_fake_gitlab::introspection;
use clap::Parser;

/// Writes the GraphQL schema of a live GitLab in the place of the one in a file.
#[derive(Debug, Parser)]
#[command(version)]
struct Settings {
    /// GitLab's host, or its URL
    domain: String,

    /// The file
    #[arg(long, default_value = "graphql/schema.graphql")]
    output: PathBuf,

    /// A token, where GitLab tells nothing without one
    #[arg(long, env = "GITLAB_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = update().await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        eprintln!("  because: {next}");
        cause = next.source();
    }
    ExitCode::FAILURE
}

async fn update() -> Result<(), Box<dyn std::error::Error>> {
    // A second provider is no harm: it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::parse();
    let host = match settings.domain.contains("://") {
        true => settings.domain.trim_end_matches('/').to_owned(),
        false => format!("https://{}", settings.domain),
    };
    let url = format!("{host}/api/graphql");
    let token = settings.token.as_deref().filter(|token| !token.is_empty());
    let schema = introspection::fetch(&url, token).await?;
    let head =
        format!("# GitLab's GraphQL schema as {host} tells it: `just update-graphql-schema`.\n\n");
    // Written whole or not at all: the queries are compiled against it.
    let new = settings.output.with_extension("new");
    std::fs::write(&new, head + &schema)?;
    std::fs::rename(&new, &settings.output)?;
    println!(
        "{} is the schema of {host}; commit it if the queries still compile.",
        settings.output.display()
    );
    Ok(())
}
