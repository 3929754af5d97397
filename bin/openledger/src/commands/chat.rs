use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use openledger_gateway::Gateway;
use openledger_worker::operator::Limits;
use serde_json::{Value, json};

use crate::args::ChatArgs;
use crate::base::Base;
use crate::connection::{Connection, Endpoints};
use crate::env_vars;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;
use crate::stack::Stack;

/// An answer of two thousand tokens on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(600);

pub(crate) async fn run(home: &Home, threads: usize, args: &ChatArgs, show: &Show) -> Result<()> {
    let key = match args.key.clone().or_else(|| env_vars::read(env_vars::API_KEY)) {
        Some(key) => key,
        None => kept_key(home)?,
    };
    let running = match args.gateway {
        Some(gateway) => Some(gateway),
        None => Endpoints::read(home).map(|endpoints| endpoints.gateway),
    };
    let question = Question {
        model: &args.model,
        prompt: &args.prompt,
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        sources: args.sources,
    };
    let completion = match running {
        Some(gateway) => ask(gateway, &key, &question).await?,
        None => ask_here(home, threads, &key, &question, show).await?,
    };
    show.line(completion["choices"][0]["message"]["content"].as_str().unwrap_or_default());
    let extra = &completion["openledger"];
    for citation in completion["choices"][0]["citations"].as_array().into_iter().flatten() {
        show.line(cited(citation));
    }
    show.line(format!(
        "\nreceipt {}  fee {} OPEN\nverify with: openledger verify {}",
        extra["receipt"].as_str().unwrap_or_default(),
        extra["fee_open"].as_str().unwrap_or_default(),
        extra["receipt"].as_str().unwrap_or_default(),
    ));
    show.result(&completion);
    Ok(())
}

/// One question as the API takes it.
pub(crate) struct Question<'a> {
    pub(crate) model: &'a str,
    pub(crate) prompt: &'a str,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f64,
    /// How many sources to look for, if any.
    pub(crate) sources: Option<u32>,
}

/// A source of an answer in one line.
pub(crate) fn cited(citation: &Value) -> String {
    let text = |field: &str| citation[field].as_str().unwrap_or_default().to_owned();
    format!(
        "[{}] {} · Datanet {}, record {}… of {} · {:+.3} nats, {:.1} % of the credit",
        citation["index"],
        text("title"),
        text("datanet"),
        text("record").chars().take(18).collect::<String>(),
        text("owner"),
        citation["nanonats"].as_f64().unwrap_or(0.0) / 1e9,
        citation["share_ppm"].as_f64().unwrap_or(0.0) / 1e4,
    )
}

/// Asks a gateway over HTTP, as any OpenAI client does.
pub(crate) async fn ask(gateway: SocketAddr, key: &str, question: &Question<'_>) -> Result<Value> {
    let url = format!("http://{gateway}/v1/chat/completions");
    let mut body = json!({
        "model": question.model,
        "messages": [{ "role": "user", "content": question.prompt }],
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
    });
    if let Some(top_k) = question.sources {
        body["retrieval"] = json!({ "top_k": top_k });
    }
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let response = client
        .post(&url)
        .bearer_auth(key)
        .json(&body)
        .send()
        .await
        .with_context(|| format!("the gateway at {gateway} does not answer"))?;
    let status = response.status();
    let value: Value =
        response.json().await.with_context(|| format!("{url} answered {status} without JSON"))?;
    if !status.is_success() {
        bail!("{} ({status})", value["error"]["message"].as_str().unwrap_or("the gateway refused"));
    }
    Ok(value)
}

async fn ask_here(
    home: &Home,
    threads: usize,
    key: &str,
    question: &Question<'_>,
    show: &Show,
) -> Result<Value> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let machine =
        show.step("loading the base model", Base::of(home)?.load(home, threads, &show.progress())).await?;
    let stack =
        Stack::open(home, &local, &connection.client, machine, Limits::default(), show.progress()).await?;
    let gateway = Gateway::serve(stack.operator.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let answer = ask(gateway.address(), key, question).await;
    gateway.shutdown(Duration::from_secs(1)).await?;
    connection.close().await?;
    answer
}

fn kept_key(home: &Home) -> Result<String> {
    let key = std::fs::read_to_string(home.api_key_file()).with_context(|| {
        "no API key: make one with `openledger wallet api-key NAME --cap OPEN`, or give --key or OPENLEDGER_API_KEY"
    })?;
    Ok(key.trim().to_owned())
}
