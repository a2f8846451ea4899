//! What a job takes from others and leaves for them: caches and artifacts, as the configuration says it and as
//! a runner is told.

use serde_json::{Value, json};

/// When something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// If the script went well.
    OnSuccess,
    /// If it did not.
    OnFailure,
    /// In any case.
    Always,
}

impl When {
    fn read(value: Option<&Value>, of: &str) -> Result<Self, String> {
        match value.map(|value| value.as_str()) {
            None | Some(Some("on_success")) => Ok(Self::OnSuccess),
            Some(Some("on_failure")) => Ok(Self::OnFailure),
            Some(Some("always")) => Ok(Self::Always),
            Some(_) => Err(format!(
                "{of} when should be one of: on_success, on_failure, always"
            )),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::Always => "always",
        }
    }

    /// Whether that is so after a script that went well, or did not.
    pub fn is_now(self, succeeded: bool) -> bool {
        match self {
            Self::OnSuccess => succeeded,
            Self::OnFailure => !succeeded,
            Self::Always => true,
        }
    }
}

/// A cache of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// By which it is found again.
    pub key: String,
    /// What is in it.
    pub paths: Vec<String>,
    /// When it is kept.
    pub when: When,
    /// `pull-push`, `pull` or `push`.
    pub policy: String,
}

impl Cache {
    /// Whether it is fetched.
    pub fn is_fetched(&self) -> bool {
        self.policy != "push"
    }

    /// Whether it is kept.
    pub fn is_kept(&self) -> bool {
        self.policy != "pull"
    }
}

/// The artifacts of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// Which files.
    pub paths: Vec<String>,
    /// When they are kept.
    pub when: When,
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    let items = items.into_iter().flatten().filter_map(Value::as_str);
    items.map(str::to_owned).collect()
}

/// The caches of a job: one, or a list of them.
///
/// # Errors
///
/// When it is no description of caches.
pub fn caches(value: Option<&Value>) -> Result<Vec<Cache>, String> {
    let one = value.cloned().unwrap_or_default();
    let all = match one {
        Value::Null => Vec::new(),
        Value::Array(all) => all,
        one => vec![one],
    };
    all.iter()
        .map(|cache| {
            let policy = cache["policy"].as_str().unwrap_or("pull-push");
            if !["pull-push", "pull", "push"].contains(&policy) {
                return Err("cache policy should be one of: pull-push, push, pull".to_owned());
            }
            Ok(Cache {
                key: cache["key"].as_str().unwrap_or("default").to_owned(),
                paths: texts(cache.get("paths")),
                when: When::read(cache.get("when"), "cache")?,
                policy: policy.to_owned(),
            })
        })
        .collect()
}

/// The artifacts of a job.
///
/// # Errors
///
/// When it is no description of artifacts.
pub fn artifacts(value: Option<&Value>) -> Result<Option<Artifacts>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Ok(Some(Artifacts {
            paths: texts(value.get("paths")),
            when: When::read(value.get("when"), "artifacts")?,
        })),
    }
}

/// Caches as a runner is told of them.
pub fn caches_told(caches: &[Cache]) -> Value {
    let told = caches.iter().map(|cache| {
        json!({"key": cache.key, "untracked": false, "policy": cache.policy, "paths": cache.paths,
               "when": cache.when.word(), "fallback_keys": []})
    });
    told.collect()
}

/// Artifacts as a runner is told of them.
pub fn artifacts_told(artifacts: Option<&Artifacts>) -> Value {
    let told = artifacts.iter().map(|artifacts| {
        json!({"name": "", "untracked": false, "paths": artifacts.paths, "exclude": [],
               "when": artifacts.when.word(), "expire_in": "", "artifact_type": "archive",
               "artifact_format": "zip"})
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_one_or_many() {
        assert_eq!(caches(None).unwrap(), []);
        let one = caches(Some(&json!({"paths": ["a"]}))).unwrap();
        assert_eq!(one[0].key, "default");
        assert!(one[0].is_fetched() && one[0].is_kept());
        let two = json!([{"key": "x", "policy": "pull"}, {"policy": "push", "when": "always"}]);
        let two = caches(Some(&two)).unwrap();
        assert!(two[0].is_fetched() && !two[0].is_kept());
        assert!(!two[1].is_fetched() && two[1].when.is_now(false));
        for wrong in [json!({"policy": "maybe"}), json!({"when": "never"})] {
            assert!(caches(Some(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn artifacts_are_kept_when_it_is_said() {
        assert_eq!(artifacts(None).unwrap(), None);
        let read = |value: Value| artifacts(Some(&value)).unwrap().unwrap();
        assert!(!read(json!({"paths": ["a"]})).when.is_now(false));
        assert!(read(json!({"when": "on_failure"})).when.is_now(false));
        assert!(artifacts(Some(&json!({"when": 1}))).is_err());
    }
}
