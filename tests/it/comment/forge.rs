//! A GitHub and a GitLab on loopback, with as much of their API as we use and their habits: pages, authors, refusals.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

/// Who the token belongs to.
pub(crate) const ME: &str = "github-actions[bot]";
/// The newest commit of the pull request, and what it was merged as.
pub(crate) const HEAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub(crate) const MERGED: &str = "cccccccccccccccccccccccccccccccccccccccc";
pub(crate) const TOKEN: &str = "ghs_canary0123456789";

#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) hidden: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) comments: Vec<Comment>,
    pub(crate) labels: Vec<String>,
    /// Answers to be given first, each once: method, end of the path, answer. Behind `done` the call is carried out all the same.
    pub(crate) troubles: Vec<(&'static str, &'static str, ResponseTemplate)>,
    pub(crate) merged: bool,
    /// Method and path of each call, in order.
    pub(crate) calls: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) state: Arc<Mutex<State>>,
    gitlab: bool,
}

pub(crate) struct Running {
    pub(crate) forge: Forge,
    server: MockServer,
}

impl Running {
    pub(crate) async fn github() -> Self {
        Self::start(false).await
    }

    pub(crate) async fn gitlab() -> Self {
        Self::start(true).await
    }

    async fn start(gitlab: bool) -> Self {
        let forge = Forge { state: Arc::default(), gitlab };
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(forge.clone()).mount(&server).await;
        Self { forge, server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// What a job of CI has in its environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        if self.forge.gitlab {
            return vec![
                ("GITLAB_CI", "true".into()),
                ("CI", "true".into()),
                ("CI_API_V4_URL", format!("{}/api/v4", self.url())),
                ("CI_PROJECT_ID", "42".into()),
                ("CI_MERGE_REQUEST_IID", "7".into()),
                ("CI_COMMIT_SHA", HEAD.into()),
                ("CI_PIPELINE_ID", "100".into()),
                ("CI_JOB_ID", "1000".into()),
                ("CI_JOB_URL", "https://gitlab.example/acme/infra/-/jobs/1000".into()),
                ("GITLAB_TOKEN", TOKEN.into()),
            ];
        }
        vec![
            ("GITHUB_ACTIONS", "true".into()),
            ("CI", "true".into()),
            ("GITHUB_API_URL", self.url()),
            ("GITHUB_SERVER_URL", "https://github.com".into()),
            ("GITHUB_REPOSITORY", "acme/infra".into()),
            ("GITHUB_RUN_ID", "100".into()),
            ("GITHUB_RUN_NUMBER", "12".into()),
            ("GITHUB_RUN_ATTEMPT", "1".into()),
            ("GITHUB_REF", "refs/pull/7/merge".into()),
            ("GITHUB_SHA", HEAD.into()),
            ("GITHUB_TOKEN", TOKEN.into()),
        ]
    }

    pub(crate) fn comments(&self) -> Vec<Comment> {
        self.forge.state.lock().unwrap().comments.clone()
    }

    /// The one comment that is not `somebody`'s.
    #[track_caller]
    pub(crate) fn own(&self) -> Comment {
        let own: Vec<_> = self.comments().into_iter().filter(|comment| comment.author == ME).collect();
        assert_eq!(own.len(), 1, "{own:#?}");
        own.into_iter().next().unwrap()
    }

    pub(crate) fn add(&self, author: &str, body: &str) -> u64 {
        self.forge.add(author, body)
    }

    pub(crate) fn trouble(&self, method: &'static str, path: &'static str, answer: ResponseTemplate) {
        self.forge.state.lock().unwrap().troubles.push((method, path, answer));
    }

    /// Calls that change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        let calls = self.forge.state.lock().unwrap().calls.clone();
        calls.into_iter().filter(|call| !call.starts_with("GET") && !call.ends_with("viewer")).collect()
    }
}

impl Forge {
    fn add(&self, author: &str, body: &str) -> u64 {
        let mut state = self.state.lock().unwrap();
        let id = 1_000 + state.comments.len() as u64;
        state.comments.push(Comment { id, author: author.into(), body: body.into(), hidden: false });
        id
    }

    fn page(request: &Request, all: &[Value]) -> ResponseTemplate {
        let number = |name: &str, default: usize| {
            let found = request.url.query_pairs().find(|(key, _)| key == name);
            found.map_or(default, |(_, value)| value.parse().unwrap())
        };
        let (size, page) = (number("per_page", 30).min(100), number("page", 1));
        let some: Vec<&Value> = all.iter().skip(size * (page - 1)).take(size).collect();
        let answer = ResponseTemplate::new(200).set_body_json(some);
        if all.len() <= size * page {
            return answer;
        }
        let next = format!("<{}?page={}>; rel=\"next\", <x>; rel=\"last\"", request.url, page + 1);
        answer.insert_header("link", next.as_str())
    }

    fn comment(&self, comment: &Comment) -> Value {
        if self.gitlab {
            return json!({"id": comment.id, "body": comment.body, "author": {"username": comment.author}});
        }
        json!({"id": comment.id, "node_id": format!("N{}", comment.id), "body": comment.body, "user": {"login": comment.author}})
    }

    fn request(&self) -> Value {
        let merged = self.state.lock().unwrap().merged;
        if self.gitlab {
            let state = if merged { "merged" } else { "opened" };
            return json!({"iid": 7, "sha": HEAD, "state": state, "merge_commit_sha": MERGED});
        }
        let at = merged.then_some("2026-11-24T00:00:00Z");
        // GitHub tells a test merge as the merge commit for as long as it is open.
        json!({"number": 7, "head": {"sha": HEAD}, "merged_at": at, "merge_commit_sha": MERGED})
    }

    fn graphql(&self, body: &Value) -> ResponseTemplate {
        let query = body["query"].as_str().unwrap();
        if query.contains("viewer") {
            return ResponseTemplate::new(200).set_body_json(json!({"data": {"viewer": {"login": ME}}}));
        }
        let id: u64 = body["variables"]["id"].as_str().unwrap()[1..].parse().unwrap();
        let mut state = self.state.lock().unwrap();
        state.comments.iter_mut().find(|comment| comment.id == id).unwrap().hidden = true;
        ResponseTemplate::new(200).set_body_json(json!({"data": {}}))
    }
}

impl Respond for Forge {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (method, path) = (request.method.to_string(), request.url.path().to_owned());
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        {
            let mut state = self.state.lock().unwrap();
            let more = if body["query"].as_str().is_some_and(|query| query.contains("viewer")) {
                " viewer"
            } else {
                ""
            };
            state.calls.push(format!("{method} {path}{more}"));
            let of = |word: &str| word.strip_prefix("done ").unwrap_or(word) == method;
            let trouble = state.troubles.iter().position(|(word, end, _)| of(word) && path.ends_with(end));
            if let Some(place) = trouble {
                let (word, _, answer) = state.troubles.remove(place);
                drop(state);
                if word.starts_with("done ") {
                    self.add(ME, body["body"].as_str().unwrap());
                }
                return answer;
            }
        }
        let token = if self.gitlab {
            ("private-token", TOKEN.to_owned())
        } else {
            ("authorization", format!("Bearer {TOKEN}"))
        };
        if request.headers.get(token.0).is_none_or(|sent| *sent != *token.1) {
            return ResponseTemplate::new(401).set_body_json(json!({"message": "Bad credentials"}));
        }
        if !self.gitlab && !request.headers.contains_key("user-agent") {
            return ResponseTemplate::new(403).set_body_json(json!({"message": "no User-Agent"}));
        }
        let path = path
            .strip_prefix("/api/v4/projects/42")
            .or(path.strip_prefix("/repos/acme/infra"))
            .unwrap_or(&path);
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let number = |text: &str| text.parse::<u64>().unwrap();
        match (method.as_str(), &parts[..]) {
            ("POST", ["graphql"]) => self.graphql(&body),
            ("GET", ["api", "v4", "user"]) => {
                ResponseTemplate::new(200).set_body_json(json!({"username": ME}))
            }
            ("GET", ["pulls" | "merge_requests", "7"]) => {
                ResponseTemplate::new(200).set_body_json(self.request())
            }
            ("GET", ["commits", commit, "pulls"] | ["repository", "commits", commit, "merge_requests"]) => {
                let all = if *commit == MERGED { vec![self.request()] } else { Vec::new() };
                Self::page(request, &all)
            }
            ("GET", ["issues", "7", "comments"] | ["merge_requests", "7", "notes"]) => {
                let all: Vec<Value> =
                    self.state.lock().unwrap().comments.iter().map(|c| self.comment(c)).collect();
                Self::page(request, &all)
            }
            ("POST", ["issues", "7", "comments"] | ["merge_requests", "7", "notes"]) => {
                let text = body["body"].as_str().unwrap();
                if text.chars().count() > 65_536 {
                    let message = json!({"message": "Body is too long (maximum is 65536 characters)"});
                    return ResponseTemplate::new(422).set_body_json(message);
                }
                self.add(ME, text);
                ResponseTemplate::new(201).set_body_json(json!({}))
            }
            ("PATCH", ["issues", "comments", id]) | ("PUT", ["merge_requests", "7", "notes", id]) => {
                let mut state = self.state.lock().unwrap();
                let comment = state.comments.iter_mut().find(|comment| comment.id == number(id)).unwrap();
                assert_eq!(comment.author, ME, "what others have written is not edited");
                comment.body = body["body"].as_str().unwrap().into();
                ResponseTemplate::new(200).set_body_json(json!({}))
            }
            ("GET", ["issues", "7", "labels"]) => {
                let labels = self.state.lock().unwrap().labels.clone();
                let all: Vec<Value> = labels.iter().map(|name| json!({"name": name})).collect();
                Self::page(request, &all)
            }
            ("POST", ["issues", "7", "labels"]) => {
                let new =
                    body["labels"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
                self.state.lock().unwrap().labels.extend(new);
                ResponseTemplate::new(200).set_body_json(json!([]))
            }
            ("DELETE", ["issues", "7", "labels", name]) => {
                let name = name.replace("%2F", "/").replace("%3A", ":").replace("%20", " ");
                self.state.lock().unwrap().labels.retain(|label| *label != name);
                ResponseTemplate::new(200).set_body_json(json!([]))
            }
            ("POST", ["labels"]) => {
                ResponseTemplate::new(422).set_body_json(json!({"message": "already_exists"}))
            }
            ("PUT", ["merge_requests", "7"]) => {
                let mut state = self.state.lock().unwrap();
                let not: Vec<String> =
                    body["remove_labels"].as_str().unwrap().split(',').map(Into::into).collect();
                state.labels.retain(|label| !not.contains(label));
                state.labels.push(body["add_labels"].as_str().unwrap().into());
                ResponseTemplate::new(200).set_body_json(json!({}))
            }
            _ => ResponseTemplate::new(404).set_body_json(json!({"message": "Not Found"})),
        }
    }
}
