//! GitLab, by REST.

use serde_json::{Value, json};

use super::{
    ForgeError, Note, Request,
    http::{Http, Repeat},
};
use crate::model::{percent::encode, secret::Secret};

#[derive(Clone, Debug)]
pub struct GitLab {
    http: Http,
    /// A number, or `group/name`.
    project: String,
}

impl GitLab {
    /// `api`: `https://gitlab.com/api/v4`.
    pub fn new(api: &str, project: &str, token: Secret<String>) -> Result<Self, ForgeError> {
        Ok(Self { http: Http::new(api, "private-token", token)?, project: encode(project) })
    }

    pub(super) async fn me(&self) -> Result<String, ForgeError> {
        let what = "cannot ask who we are";
        let found = self.http.get(what, "/user").await?;
        found["username"].as_str().map(str::to_owned).ok_or_else(|| self.http.unexpected(what))
    }

    fn path(&self, number: u64) -> String {
        format!("/projects/{}/merge_requests/{number}", self.project)
    }

    pub(super) async fn request(&self, number: u64) -> Result<Request, ForgeError> {
        let what = format!("cannot read merge request {number}");
        let found = self.http.get(&what, &self.path(number)).await?;
        request(&found).ok_or_else(|| self.http.unexpected(&what))
    }

    pub(super) async fn requests_of(&self, commit: &str) -> Result<Vec<Request>, ForgeError> {
        let what = "cannot ask which merge request a commit has come from";
        let path = format!("/projects/{}/repository/commits/{}/merge_requests", self.project, encode(commit));
        Ok(self.http.all(what, &path).await?.iter().filter_map(request).collect())
    }

    pub(super) async fn notes(&self, number: u64) -> Result<Vec<Note>, ForgeError> {
        let what = format!("cannot read the notes of merge request {number}");
        let path = format!("{}/notes?sort=asc&order_by=created_at", self.path(number));
        let note = |found: &Value| {
            Some(Note {
                id: found["id"].as_u64()?,
                node: None,
                author: found["author"]["username"].as_str().unwrap_or_default().into(),
                body: found["body"].as_str().unwrap_or_default().into(),
            })
        };
        Ok(self.http.all(&what, &path).await?.iter().filter_map(note).collect())
    }

    pub(super) async fn create(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        let what = format!("cannot write a note on merge request {number}");
        let path = format!("{}/notes", self.path(number));
        self.http.call(&what, "POST", &path, Some(&json!({"body": body})), Repeat::Harmful).await?;
        Ok(())
    }

    pub(super) async fn edit(&self, number: u64, note: &Note, body: &str) -> Result<(), ForgeError> {
        let what = format!("cannot edit our note on merge request {number}");
        let path = format!("{}/notes/{}", self.path(number), note.id);
        self.http.call(&what, "PUT", &path, Some(&json!({"body": body})), Repeat::Harmless).await?;
        Ok(())
    }

    /// GitLab makes labels that do not exist.
    pub(super) async fn label(
        &self,
        number: u64,
        (label, _): (&str, &str),
        not: &[String],
    ) -> Result<(), ForgeError> {
        let what = format!("cannot label merge request {number}");
        let body = json!({"add_labels": label, "remove_labels": not.join(",")});
        self.http.call(&what, "PUT", &self.path(number), Some(&body), Repeat::Harmless).await?;
        Ok(())
    }
}

fn request(found: &Value) -> Option<Request> {
    let commit = |name: &str| found[name].as_str().map(str::to_owned);
    Some(Request {
        number: found["iid"].as_u64()?,
        head: commit("sha")?,
        merged: found["state"].as_str() == Some("merged"),
        merge_commit: commit("merge_commit_sha").or_else(|| commit("squash_commit_sha")),
    })
}
