//! JSON-RPC over HTTP with one kept connection.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A server, over a connection of its own.
#[derive(Clone)]
pub(super) struct Endpoint {
    http: reqwest::Client,
    url: String,
}

impl Endpoint {
    pub(super) fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(1).no_proxy().build()?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// The answer to a request body.
    pub(super) async fn post(&self, body: String) -> Result<String> {
        let request = self.http.post(&self.url).header("content-type", "application/json").body(body);
        let answer = request.send().await.with_context(|| format!("asking {}", self.url))?;
        answer.text().await.with_context(|| format!("reading from {}", self.url))
    }

    /// One call.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer: Value = serde_json::from_str(&self.post(body.to_string()).await?)?;
        if let Some(error) = answer.get("error") {
            bail!("{method} at {}: {error}", self.url);
        }
        Ok(answer["result"].take())
    }

    /// A call that answers with a quantity; 0 where there is none.
    pub(super) async fn quantity(&self, method: &str, params: Value) -> Result<u64> {
        let answer = self.call(method, params).await?;
        let digits = answer.as_str().unwrap_or("0x0").trim_start_matches("0x").to_owned();
        u64::from_str_radix(&digits, 16).with_context(|| format!("{method} answered {answer}"))
    }

    /// Sends transactions as one batch; returns the places of those that have to be sent again because the pool was
    /// full.
    pub(super) async fn send(&self, transactions: &[&str]) -> Result<Vec<usize>> {
        let mut body = String::from("[");
        for (place, raw) in transactions.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            body.push_str(&format!(
                r#"{separator}{{"jsonrpc":"2.0","id":{place},"method":"eth_sendRawTransaction","params":["{raw}"]}}"#
            ));
        }
        body.push(']');
        let answer = self.post(body).await?;
        if !answer.contains(r#""error""#) {
            return Ok(Vec::new());
        }
        let answers: Vec<Value> =
            serde_json::from_str(&answer).with_context(|| format!("{} answered {answer}", self.url))?;
        let mut again = Vec::new();
        for answer in answers {
            let Some(error) = answer.get("error") else { continue };
            let text = error["message"].as_str().unwrap_or_default();
            let place = answer["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            match place {
                Some(place) if text.contains("txpool is full") => again.push(place),
                _ => bail!("{} refused a transfer: {error}", self.url),
            }
        }
        Ok(again)
    }
}
