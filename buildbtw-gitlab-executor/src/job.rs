//! What the Runner says of the job: in a file of its own, or, where there is none, in the environment.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use anyhow::{Context, bail};
use buildbtw_api::RunId;
use serde::Deserialize;

/// Where the Runner puts a job's variables.
const PREFIX: &str = "CUSTOM_ENV_";

/// The variables in which a pipeline names its run and the server that knows it.
const RUN: &str = "BUILDBTW_RUN";
const SERVER: &str = "BUILDBTW_SERVER";

/// A job, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number on GitLab.
    pub id: u64,
    /// Its pipeline's number.
    pub pipeline: Option<u64>,
    /// The commit of the pipeline. It chose the CI configuration and nothing else.
    pub commit: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// The run that the pipeline was made for.
    pub run: RunId,
    /// The address of the server, as the pipeline names it.
    pub server: String,
}

/// JOB_RESPONSE_FILE, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Response {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    job_info: JobInfo,
    #[serde(default)]
    git_info: GitInfo,
    #[serde(default)]
    variables: Vec<Variable>,
}

#[derive(Debug, Default, Deserialize)]
struct JobInfo {
    #[serde(default)]
    pipeline_id: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct GitInfo {
    #[serde(default)]
    sha: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

impl Job {
    /// The job that this call belongs to.
    ///
    /// # Errors
    ///
    /// When the pipeline does not say which run it was made for.
    pub fn of_environment() -> anyhow::Result<Self> {
        let variables = match env::var_os("JOB_RESPONSE_FILE") {
            Some(path) => of_response(Path::new(&path))?,
            // Runners before 14.1 have no such file.
            None => of_environment(env::vars_os().filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            })),
        };
        Self::read(&variables)
    }

    fn read(variables: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let get = |name: &str| {
            let value = variables.get(name).map(|value| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let id = get("CI_JOB_ID").and_then(|text| text.parse().ok());
        let Some(id) = id else {
            bail!("the Runner does not say which job this is (CI_JOB_ID)");
        };
        let hint = "hint: this Runner only carries out pipelines that buildbtw made; the CI \
                    configuration must hand the pipeline's inputs on as variables";
        let missing = |name| format!("the job has no variable {name}\n  {hint}");
        let run = get(RUN).with_context(|| missing(RUN))?;
        let server = get(SERVER).with_context(|| missing(SERVER))?;
        Ok(Self {
            id,
            pipeline: get("CI_PIPELINE_ID").and_then(|text| text.parse().ok()),
            commit: get("CI_COMMIT_SHA").map(str::to_owned),
            url: get("CI_JOB_URL").map(str::to_owned),
            run: run
                .parse()
                .ok()
                .with_context(|| format!("{RUN} is {run:?}, and that is no run's id\n  {hint}"))?,
            server: server.to_owned(),
        })
    }
}

/// The number of the job that this call belongs to, also when nothing else is known of it.
pub fn number() -> Option<u64> {
    let said = env::var_os("JOB_RESPONSE_FILE")
        .and_then(|path| of_response(Path::new(&path)).ok()?.remove("CI_JOB_ID"));
    let text = said.or_else(|| env::var(format!("{PREFIX}CI_JOB_ID")).ok())?;
    text.trim().parse().ok()
}

/// The variables in the Runner's file. Of several with one name the last one counts, as on GitLab.
fn of_response(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let what = || format!("cannot read the Runner's {}", path.display());
    let text = std::fs::read(path).with_context(what)?;
    // The words of a JSON error may quote what was read, and there are secrets in it.
    let response: Response = serde_json::from_slice(&text)
        .map_err(|error| anyhow::anyhow!("line {} makes no sense", error.line()))
        .with_context(what)?;
    let variables = response.variables.into_iter();
    let mut variables: BTreeMap<String, String> = variables
        .map(|variable| (variable.key, variable.value.unwrap_or_default()))
        .collect();
    // What GitLab itself says goes before variables, which a project may set to anything.
    for (name, said) in [
        ("CI_JOB_ID", response.id.map(|id| id.to_string())),
        (
            "CI_PIPELINE_ID",
            response.job_info.pipeline_id.map(|id| id.to_string()),
        ),
        ("CI_COMMIT_SHA", response.git_info.sha),
    ] {
        if let Some(said) = said {
            variables.insert(name.to_owned(), said);
        }
    }
    Ok(variables)
}

fn of_environment(environment: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    environment
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_ID: &str = "01997d0c-0000-7000-8000-000000000001";

    fn variables(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let usual = [
            ("CI_JOB_ID", "77"),
            ("CI_PIPELINE_ID", "7"),
            ("CI_COMMIT_SHA", "0ff3ae19"),
            (RUN, RUN_ID),
            (SERVER, "https://buildbtw.example.org"),
        ];
        let all = usual.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_job_is_read() {
        let job = Job::read(&variables(&[])).unwrap();
        assert_eq!((job.id, job.pipeline), (77, Some(7)));
        assert_eq!(job.commit.as_deref(), Some("0ff3ae19"));
        assert_eq!(job.run.to_string(), RUN_ID);
        assert_eq!(job.url, None);
    }

    #[test]
    fn a_job_without_a_run_is_refused_and_says_why() {
        for (name, value, word) in [
            (RUN, "", RUN),
            (RUN, "seven", "seven"),
            (SERVER, "  ", SERVER),
            ("CI_JOB_ID", "../../etc", "CI_JOB_ID"),
        ] {
            let error = Job::read(&variables(&[(name, value)])).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn the_last_variable_of_a_name_counts_and_no_secret_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("response.json");
        let text = r#"{"id": 77, "token": "glcbt-secret", "variables": [
            {"key": "CI_JOB_ID", "value": "78"}, {"key": "A", "value": "old"}, {"key": "A", "value": "new\nline", "masked": true},
            {"key": "EMPTY", "value": null}]}"#;
        std::fs::write(&path, text).unwrap();
        let read = of_response(&path).unwrap();
        assert_eq!(read["A"], "new\nline");
        assert_eq!(read["EMPTY"], "");
        assert_eq!(read["CI_JOB_ID"], "77", "a variable is not believed");
        std::fs::write(&path, r#"{"variables": "glcbt-secret"}"#).unwrap();
        let said = format!("{:#}", of_response(&path).unwrap_err());
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn the_environment_has_the_same_under_other_names() {
        let given = [("CUSTOM_ENV_CI_JOB_ID", "5"), ("CI_JOB_ID", "6")];
        let given = given
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        assert_eq!(of_environment(given)["CI_JOB_ID"], "5");
    }
}
