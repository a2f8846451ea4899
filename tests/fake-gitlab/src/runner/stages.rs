//! The stages of a job before and after its script, and the scripts that the Runner generates for them. A stage
//! with nothing to do is left out, as the Runner leaves it out.

use crate::ci::JobTemplate;
use crate::pipelines::Job;
use crate::state::State;

/// The most attempts that a variable can ask for.
const MOST_ATTEMPTS: u32 = 10;

/// A job whose artifacts another one fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The file with its artifacts.
    pub file: String,
}

/// The jobs whose artifacts a job fetches: those it names, else all of earlier stages.
pub fn dependencies(state: &State, job: &Job) -> Vec<Dependency> {
    let stages = state.pipelines.get(&job.pipeline);
    let stages = stages.map_or(&[][..], |pipeline| &pipeline.stages);
    let place = |stage: &str| stages.iter().position(|other| other == stage);
    let wanted = |other: &Job| match &job.template.dependencies {
        Some(names) => names.contains(&other.template.name),
        None => place(&other.template.stage) < place(&job.template.stage),
    };
    let others = state.jobs.values().filter(|other| {
        other.pipeline == job.pipeline && other.id != job.id && !other.retried && wanted(other)
    });
    others
        .filter_map(|other| {
            Some(Dependency {
                id: other.id,
                name: other.template.name.clone(),
                file: other.artifacts.clone()?,
            })
        })
        .collect()
}

/// The stages between the sources and the script, each with the variable that says how often it is tried.
pub fn before(
    template: &JobTemplate,
    dependencies: &[Dependency],
) -> Vec<(&'static str, &'static str)> {
    let mut stages = Vec::new();
    if template.caches.iter().any(|cache| cache.is_fetched()) {
        stages.push(("restore_cache", "RESTORE_CACHE_ATTEMPTS"));
    }
    if !dependencies.is_empty() {
        stages.push(("download_artifacts", "ARTIFACT_DOWNLOAD_ATTEMPTS"));
    }
    stages
}

/// The stages that keep something after a script that went well, or did not.
pub fn keeping(template: &JobTemplate, succeeded: bool) -> Vec<&'static str> {
    let mut stages = Vec::new();
    let mut kept = template.caches.iter().filter(|cache| cache.is_kept());
    if kept.any(|cache| cache.when.is_now(succeeded)) {
        stages.push(match succeeded {
            true => "archive_cache",
            false => "archive_cache_on_failure",
        });
    }
    let artifacts = template.artifacts.as_ref();
    if artifacts.is_some_and(|artifacts| artifacts.when.is_now(succeeded)) {
        stages.push(match succeeded {
            true => "upload_artifacts_on_success",
            false => "upload_artifacts_on_failure",
        });
    }
    stages
}

/// How often a stage is tried, by the variable that says so.
pub fn attempts(variables: &[(String, String)], name: &str) -> u32 {
    let value = variables.iter().rev().find(|(other, _)| other == name);
    let number = value.and_then(|(_, value)| value.parse().ok());
    number
        .filter(|number| (1..=MOST_ATTEMPTS).contains(number))
        .unwrap_or(1)
}

/// The lines of a stage's script. All but the user's own call the Runner's helper, with the job's token.
pub fn script(stage: &str, job: &Job, url: &str, dependencies: &[Dependency]) -> String {
    let (id, template) = (job.id, &job.template);
    let cache = format!("cache-{}", job.project);
    let paths = |paths: &[String]| -> String {
        let options = paths.iter().map(|path| format!(" --path '{path}'"));
        options.collect()
    };
    let lines: Vec<String> = match stage {
        "restore_cache" => template
            .caches
            .iter()
            .filter(|cache| cache.is_fetched())
            .map(|kept| {
                format!(
                    "gitlab-runner cache-extractor --file ../{cache}/{}/cache.zip --timeout 10",
                    kept.key
                )
            })
            .collect(),
        "download_artifacts" => dependencies
            .iter()
            .map(|other| {
                format!(
                    "gitlab-runner artifacts-downloader --url {url} --token glcbt-{} --id {}",
                    other.id, other.id
                )
            })
            .collect(),
        "archive_cache" | "archive_cache_on_failure" => template
            .caches
            .iter()
            .filter(|cache| cache.is_kept())
            .map(|kept| {
                format!(
                    "gitlab-runner cache-archiver --file ../{cache}/{}/cache.zip --timeout 10{}",
                    kept.key,
                    paths(&kept.paths)
                )
            })
            .collect(),
        "upload_artifacts_on_success" | "upload_artifacts_on_failure" => {
            let kept = template.artifacts.iter();
            kept.map(|kept| {
                format!(
                    "gitlab-runner artifacts-uploader --url {url} --token glcbt-{id} --id {id} --artifact-format zip \
                     --artifact-type archive{}",
                    paths(&kept.paths)
                )
            })
            .collect()
        }
        "after_script" => template.after_script.clone(),
        "get_sources" => vec!["echo 'Skipping Git repository setup'".to_owned()],
        "prepare_script" => vec!["echo \"Running on $(hostname)...\"".to_owned()],
        "cleanup_file_variables" => vec!["rm -f ../*.tmp/CI_SERVER_TLS_CA_FILE".to_owned()],
        other => vec![format!("echo {other}")],
    };
    format!(
        "#!/usr/bin/env bash\nset -eo pipefail\n{}\n",
        lines.join("\n")
    )
}
