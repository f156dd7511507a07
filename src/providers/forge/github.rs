//! GitHub, by REST; by GraphQL only where REST has no word for it.

use serde_json::{Value, json};

use super::{
    ForgeError, Note, Request,
    http::{Http, Repeat},
};
use crate::model::{percent::encode, secret::Secret};

/// Who writes with the token that a workflow gets.
const ACTIONS: &str = "github-actions[bot]";

#[derive(Clone, Debug)]
pub struct GitHub {
    http: Http,
    graphql: Http,
    /// `owner/name`
    repository: String,
}

impl GitHub {
    /// `api`: `https://api.github.com`, or `https://HOST/api/v3`.
    pub fn new(api: &str, repository: &str, token: &Secret<String>) -> Result<Self, ForgeError> {
        let token = Secret::new(format!("Bearer {}", token.reveal()));
        let api = api.trim_end_matches('/');
        let graphql = format!("{}/graphql", api.strip_suffix("/v3").unwrap_or(api));
        Ok(Self {
            http: Http::new(api, "authorization", token.clone())?,
            graphql: Http::new(&graphql, "authorization", token)?,
            repository: repository.split('/').map(encode).collect::<Vec<_>>().join("/"),
        })
    }

    /// REST refuses to say it of the token of a workflow.
    pub(super) async fn me(&self) -> Result<String, ForgeError> {
        let query = json!({"query": "query { viewer { login } }"});
        match self.graphql.call("cannot ask who we are", "POST", "", Some(&query), Repeat::Harmless).await {
            Ok(answer) => Ok(answer.body["data"]["viewer"]["login"].as_str().unwrap_or(ACTIONS).to_owned()),
            Err(ForgeError::Refused { status: 403 | 404, .. }) => Ok(ACTIONS.into()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn request(&self, number: u64) -> Result<Request, ForgeError> {
        let what = format!("cannot read pull request {number}");
        let found = self.http.get(&what, &format!("/repos/{}/pulls/{number}", self.repository)).await?;
        request(&found).ok_or_else(|| self.http.unexpected(&what))
    }

    pub(super) async fn requests_of(&self, commit: &str) -> Result<Vec<Request>, ForgeError> {
        let what = "cannot ask which pull request a commit has come from";
        let path = format!("/repos/{}/commits/{}/pulls", self.repository, encode(commit));
        Ok(self.http.all(what, &path).await?.iter().filter_map(request).collect())
    }

    pub(super) async fn notes(&self, number: u64) -> Result<Vec<Note>, ForgeError> {
        let what = format!("cannot read the comments of pull request {number}");
        let found =
            self.http.all(&what, &format!("/repos/{}/issues/{number}/comments", self.repository)).await?;
        let note = |found: &Value| {
            Some(Note {
                id: found["id"].as_u64()?,
                node: found["node_id"].as_str().map(str::to_owned),
                // Whoever has left has no name.
                author: found["user"]["login"].as_str().unwrap_or_default().into(),
                body: found["body"].as_str().unwrap_or_default().into(),
            })
        };
        Ok(found.iter().filter_map(note).collect())
    }

    pub(super) async fn create(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        let what = format!("cannot comment on pull request {number}");
        let path = format!("/repos/{}/issues/{number}/comments", self.repository);
        self.http.call(&what, "POST", &path, Some(&json!({"body": body})), Repeat::Harmful).await?;
        Ok(())
    }

    pub(super) async fn edit(&self, number: u64, note: &Note, body: &str) -> Result<(), ForgeError> {
        let what = format!("cannot edit our comment on pull request {number}");
        let path = format!("/repos/{}/issues/comments/{}", self.repository, note.id);
        self.http.call(&what, "PATCH", &path, Some(&json!({"body": body})), Repeat::Harmless).await?;
        Ok(())
    }

    pub(super) async fn hide(&self, note: &Note) -> Result<(), ForgeError> {
        let Some(node) = &note.node else { return Ok(()) };
        let query = "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { clientMutationId } }";
        let query = json!({"query": query, "variables": {"id": node}});
        self.graphql.call("cannot hide an older comment", "POST", "", Some(&query), Repeat::Harmless).await?;
        Ok(())
    }

    pub(super) async fn label(
        &self,
        number: u64,
        (label, colour): (&str, &str),
        not: &[String],
    ) -> Result<(), ForgeError> {
        let what = format!("cannot label pull request {number}");
        let of_issue = format!("/repos/{}/issues/{number}/labels", self.repository);
        let there = self.http.all(&what, &of_issue).await?;
        let has = |name: &str| there.iter().any(|one| one["name"].as_str() == Some(name));
        for old in not.iter().filter(|old| has(old)) {
            let path = format!("{of_issue}/{}", encode(old));
            self.http.call(&what, "DELETE", &path, None, Repeat::Harmless).await?;
        }
        if has(label) {
            return Ok(());
        }
        let made = json!({"name": label, "color": colour});
        let path = format!("/repos/{}/labels", self.repository);
        match self.http.call(&what, "POST", &path, Some(&made), Repeat::Harmless).await {
            // It is there already.
            Ok(_) | Err(ForgeError::Refused { status: 422, .. }) => {}
            Err(error) => return Err(error),
        }
        let added = json!({"labels": [label]});
        self.http.call(&what, "POST", &of_issue, Some(&added), Repeat::Harmless).await?;
        Ok(())
    }
}

fn request(found: &Value) -> Option<Request> {
    Some(Request {
        number: found["number"].as_u64()?,
        head: found["head"]["sha"].as_str()?.into(),
        merged: found["merged_at"].is_string(),
        merge_commit: found["merge_commit_sha"].as_str().map(str::to_owned),
    })
}
