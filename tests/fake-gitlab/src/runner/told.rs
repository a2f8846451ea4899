//! What the Runner tells a program of the job: the file JOB_RESPONSE_FILE and the environment.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::custom::CustomRunner;
use super::stages::Dependency;
use crate::FakeGitLab;
use crate::keeping::{artifacts_told, caches_told};
use crate::pipelines::Job;

/// All variables of a job, in the order in which later ones count.
pub fn variables(runner: &CustomRunner, fake: &FakeGitLab, job: &Job) -> Vec<(String, String)> {
    let state = fake.state();
    let pipeline = state.pipelines.get(&job.pipeline);
    let project = state.projects.get(&job.project);
    let path = project.map_or_else(String::new, |project| project.full_path.clone());
    let url = fake.url();
    let sha = pipeline.map_or_else(String::new, |pipeline| pipeline.sha.clone());
    let reference = pipeline.map_or_else(String::new, |pipeline| pipeline.reference.clone());
    let predefined = [
        ("CI", "true".to_owned()),
        ("GITLAB_CI", "true".to_owned()),
        ("CI_SERVER_URL", url.clone()),
        ("CI_JOB_ID", job.id.to_string()),
        ("CI_JOB_NAME", job.template.name.clone()),
        ("CI_JOB_STAGE", job.template.stage.clone()),
        ("CI_JOB_URL", format!("{url}/{path}/-/jobs/{}", job.id)),
        ("CI_JOB_TOKEN", format!("glcbt-{}", job.id)),
        ("CI_JOB_TIMEOUT", runner.job_timeout.as_secs().to_string()),
        ("CI_PIPELINE_ID", job.pipeline.to_string()),
        ("CI_PROJECT_ID", job.project.to_string()),
        ("CI_PROJECT_PATH", path),
        ("CI_COMMIT_SHA", sha),
        ("CI_COMMIT_REF_NAME", reference),
        ("CI_RUNNER_VERSION", "19.4.0".to_owned()),
        ("CI_DISPOSABLE_ENVIRONMENT", "true".to_owned()),
    ];
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    predefined
        .into_iter()
        .map(owned)
        .chain(runner.variables.iter().cloned())
        .chain(job.template.variables.iter().cloned())
        .collect()
}

/// Writes JOB_RESPONSE_FILE, which only its owner may read.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_response(
    path: &Path,
    job: &Job,
    variables: &[(String, String)],
    dependencies: &[Dependency],
) -> std::io::Result<()> {
    let get = |wanted: &str| {
        let found = variables.iter().rev().find(|(name, _)| name == wanted);
        found.map_or(Value::Null, |(_, value)| json!(value))
    };
    let listed: Vec<Value> = variables
        .iter()
        .map(|(key, value)| {
            let masked = key.contains("TOKEN") || key.contains("SECRET");
            json!({"key": key, "value": value, "public": !masked, "file": false, "masked": masked, "raw": true})
        })
        .collect();
    let mut steps = vec![
        json!({"name": "script", "script": job.template.script, "timeout": 3600, "when": "on_success",
               "allow_failure": false}),
    ];
    if !job.template.after_script.is_empty() {
        steps.push(
            json!({"name": "after_script", "script": job.template.after_script, "timeout": 300, "when": "always",
                   "allow_failure": true}),
        );
    }
    let dependencies: Vec<Value> = dependencies
        .iter()
        .map(|other| {
            json!({"id": other.id, "name": other.name, "token": format!("glcbt-{}", other.id),
                   "artifacts_file": {"filename": other.file, "size": 1000}})
        })
        .collect();
    let response = json!({
        "id": job.id, "token": get("CI_JOB_TOKEN"), "allow_git_fetch": true,
        "job_info": {
            "name": job.template.name, "stage": job.template.stage, "pipeline_id": job.pipeline,
            "project_id": job.project, "project_full_path": get("CI_PROJECT_PATH"),
        },
        "git_info": {"sha": get("CI_COMMIT_SHA"), "ref": get("CI_COMMIT_REF_NAME"), "ref_type": "branch"},
        "runner_info": {"timeout": 3600}, "inputs": [], "variables": listed,
        "steps": steps, "image": {"name": ""}, "services": [], "credentials": [],
        "artifacts": artifacts_told(job.template.artifacts.as_ref()),
        "cache": caches_told(&job.template.caches), "dependencies": dependencies, "features": {"trace_sections": true}, "secrets": {},
    });
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(response.to_string().as_bytes())
}

/// The environment of a call: the Runner's own, what it says of the call, what the program asked for
/// in `config`, and the job's variables; of equal names the last one counts.
pub fn environment(
    runner: &CustomRunner,
    folder: &Path,
    job_env: &[(String, String)],
    variables: &[(String, String)],
) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (build, system) = runner.codes;
    let mut environment = runner.environment.clone();
    environment.extend(
        [
            ("TMPDIR", folder.display().to_string()),
            ("BUILD_FAILURE_EXIT_CODE", build.to_string()),
            ("SYSTEM_FAILURE_EXIT_CODE", system.to_string()),
            ("BUILD_EXIT_CODE_FILE", path("build_exit_code")),
            ("JOB_RESPONSE_FILE", path("response.json")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    environment.extend(job_env.iter().cloned());
    let variables = variables.iter().cloned();
    let services = ("CI_JOB_SERVICES".to_owned(), String::new());
    environment.extend(
        variables
            .chain([services])
            .map(|(name, value)| (format!("CUSTOM_ENV_{name}"), value)),
    );
    environment
}
