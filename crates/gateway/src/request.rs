//! A chat request as the OpenAI API shapes it, read strictly: what is not supported is refused by name unless it says what
//! happens anyway, so nobody pays for an answer that ignored what they asked.

use openledger_types::receipt::{Message, ResponseFormat, Role};
use openledger_worker::operator::Ask;
use openledger_worker::sources::{DEFAULT_TOP_K, MAX_TOP_K};
use serde_json::{Map, Value};

/// Parameters that change nothing about an answer and are not kept.
const IGNORED: [&str; 8] = [
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "service_tier",
    "parallel_tool_calls",
];

/// Highest temperature, as in the API.
const MAX_TEMPERATURE: f64 = 2.0;
/// Most answers to one request.
const MAX_CHOICES: u64 = 8;
/// Most of the likeliest tokens that are named beside one, as in the API.
const MAX_TOP_LOGPROBS: u64 = 20;

/// A chat request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// Which adapter.
    pub model: String,
    /// What is asked.
    pub ask: Ask,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// Whether a stream ends with the count of tokens.
    pub include_usage: bool,
    /// How many answers; each is paid for by itself.
    pub choices: u32,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The body is no JSON object.
    #[error("the body is not a JSON object: {reason}")]
    Body {
        /// What the parser said.
        reason: String,
    },
    /// A parameter must be there.
    #[error("'{param}' is missing")]
    Missing {
        /// Which.
        param: String,
    },
    /// A parameter cannot have this value.
    #[error("'{param}' must be {expected}")]
    Invalid {
        /// Which.
        param: String,
        /// What it may be.
        expected: String,
    },
    /// A parameter of the API that is not supported here.
    #[error("'{param}' is not supported here: {only}")]
    Unsupported {
        /// Which.
        param: String,
        /// What is accepted.
        only: String,
    },
    /// No parameter of the API.
    #[error("there is no parameter '{param}'")]
    Unknown {
        /// Which.
        param: String,
    },
}

impl ParameterError {
    /// The parameter, `null` for the body as a whole.
    pub fn param(&self) -> &str {
        match self {
            Self::Body { .. } => "body",
            Self::Missing { param }
            | Self::Invalid { param, .. }
            | Self::Unsupported { param, .. }
            | Self::Unknown { param } => param,
        }
    }

    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Body { .. } => "invalid_json",
            Self::Missing { .. } => "missing_required_parameter",
            Self::Invalid { .. } => "invalid_value",
            Self::Unsupported { .. } => "unsupported_parameter",
            Self::Unknown { .. } => "unknown_parameter",
        }
    }
}

type Result<T> = std::result::Result<T, ParameterError>;

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ParameterError`] naming the first parameter that is missing, wrong or not supported.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| ParameterError::Body { reason: error.to_string() })?;
        // The API takes null for absent.
        fields.retain(|_name, value| !value.is_null());
        let model = required(&mut fields, "model")?;
        let Value::String(model) = model else { return invalid("model", "the name of a model") };
        let messages = messages(required(&mut fields, "messages")?)?;
        let ask = Ask {
            messages,
            temperature_milli: temperature_milli(fields.remove("temperature"))?,
            top_p_milli: top_p_milli(fields.remove("top_p"))?,
            top_k: small(integer(&mut fields, "top_k", 0, u32::MAX.into())?),
            min_p_milli: min_p_milli(fields.remove("min_p"))?,
            presence_penalty_milli: penalty_milli(fields.remove("presence_penalty"), "presence_penalty")?,
            frequency_penalty_milli: penalty_milli(fields.remove("frequency_penalty"), "frequency_penalty")?,
            repetition_penalty_milli: repetition_milli(fields.remove("repetition_penalty"))?,
            stop: stop(fields.remove("stop"))?,
            response_format: response_format(fields.remove("response_format"))?,
            seed: integer(&mut fields, "seed", 0, i64::MAX.unsigned_abs())?,
            max_tokens: max_tokens(&mut fields)?,
            logprobs: logprobs(&mut fields)?,
            top_k_sources: retrieval(fields.remove("retrieval"))?,
        };
        let choices = integer(&mut fields, "n", 1, MAX_CHOICES)?.map_or(1, |n| small(Some(n)));
        let stream = flag(&mut fields, "stream")?.unwrap_or(false);
        let include_usage = include_usage(&mut fields, stream)?;
        refuse_unsupported(&mut fields)?;
        Ok(Self { model, ask, stream, include_usage, choices })
    }
}

fn required(fields: &mut Map<String, Value>, param: &str) -> Result<Value> {
    fields.remove(param).ok_or_else(|| ParameterError::Missing { param: param.to_owned() })
}

fn invalid<T>(param: impl Into<String>, expected: impl Into<String>) -> Result<T> {
    Err(ParameterError::Invalid { param: param.into(), expected: expected.into() })
}

fn unsupported<T>(param: impl Into<String>, only: impl Into<String>) -> Result<T> {
    Err(ParameterError::Unsupported { param: param.into(), only: only.into() })
}

fn messages(value: Value) -> Result<Vec<Message>> {
    let Value::Array(values) = value else { return invalid("messages", "an array of messages") };
    values.into_iter().enumerate().map(|(index, value)| message(index, value)).collect()
}

fn message(index: usize, value: Value) -> Result<Message> {
    let param = |field: &str| format!("messages[{index}].{field}");
    let Value::Object(mut fields) = value else {
        return invalid(format!("messages[{index}]"), "an object with role and content");
    };
    // Answers passed back as they came carry empty fields.
    fields.retain(|_name, value| !value.is_null() && value.as_array().is_none_or(|a| !a.is_empty()));
    let role = match fields.remove("role").as_ref().and_then(Value::as_str) {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(role @ ("tool" | "function")) => {
            return unsupported(param("role"), format!("no tools are, so no message of a {role}"));
        }
        _ => return invalid(param("role"), "one of system, developer, user, assistant"),
    };
    let content = match fields.remove("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| text_part(&format!("messages[{index}].content[{at}]"), part))
            .collect::<Result<String>>()?,
        _ => return invalid(param("content"), "a text or an array of text parts"),
    };
    match fields.keys().next() {
        Some(other) => unsupported(param(other), "a message has role and content"),
        None => Ok(Message { role, content }),
    }
}

fn text_part(param: &str, value: Value) -> Result<String> {
    match value {
        Value::Object(mut part) => match part.get("type").and_then(Value::as_str) {
            Some("text") => match part.remove("text") {
                Some(Value::String(text)) => Ok(text),
                _ => invalid(format!("{param}.text"), "a text"),
            },
            Some(kind) => {
                unsupported(format!("{param}.type"), format!("'{kind}' is no text, and only text is read"))
            }
            None => invalid(format!("{param}.type"), "'text'"),
        },
        _ => invalid(param, "an object with type and text"),
    }
}

fn number(value: Value, param: &str, expected: &str) -> Result<f64> {
    value.as_f64().map_or_else(|| invalid(param, expected), Ok)
}

fn temperature_milli(value: Option<Value>) -> Result<u32> {
    const EXPECTED: &str = "a number from 0 to 2";
    let temperature = value.map_or(Ok(1.0), |value| number(value, "temperature", EXPECTED))?;
    if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
        return invalid("temperature", EXPECTED);
    }
    Ok(milli(temperature))
}

fn top_p_milli(value: Option<Value>) -> Result<u32> {
    const EXPECTED: &str = "a number from 0 to 1";
    let top_p = value.map_or(Ok(1.0), |value| number(value, "top_p", EXPECTED))?;
    if !(0.0..=1.0).contains(&top_p) {
        return invalid("top_p", EXPECTED);
    }
    // The smallest nucleus is the likeliest token.
    Ok(milli(top_p).max(1))
}

/// Thousandths of a number that was found to be small.
fn milli(number: f64) -> u32 {
    (number * 1000.0).round() as u32
}

fn min_p_milli(value: Option<Value>) -> Result<u32> {
    const EXPECTED: &str = "a number from 0 to 1";
    let min_p = value.map_or(Ok(0.0), |value| number(value, "min_p", EXPECTED))?;
    if (0.0..=1.0).contains(&min_p) { Ok(milli(min_p)) } else { invalid("min_p", EXPECTED) }
}

fn penalty_milli(value: Option<Value>, param: &str) -> Result<i32> {
    const EXPECTED: &str = "a number from -2 to 2";
    let penalty = value.map_or(Ok(0.0), |value| number(value, param, EXPECTED))?;
    if (-2.0..=2.0).contains(&penalty) {
        Ok((penalty * 1000.0).round() as i32)
    } else {
        invalid(param, EXPECTED)
    }
}

fn repetition_milli(value: Option<Value>) -> Result<u32> {
    const EXPECTED: &str = "a number from 0.1 to 10";
    let penalty = value.map_or(Ok(1.0), |value| number(value, "repetition_penalty", EXPECTED))?;
    if (0.1..=10.0).contains(&penalty) { Ok(milli(penalty)) } else { invalid("repetition_penalty", EXPECTED) }
}

/// One sequence or several.
fn stop(value: Option<Value>) -> Result<Vec<String>> {
    const EXPECTED: &str = "a text or an array of texts";
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                _ => invalid("stop", EXPECTED),
            })
            .collect(),
        Some(_) => invalid("stop", EXPECTED),
    }
}

fn logprobs(fields: &mut Map<String, Value>) -> Result<Option<u8>> {
    let wanted = flag(fields, "logprobs")?.unwrap_or(false);
    let top = integer(fields, "top_logprobs", 0, MAX_TOP_LOGPROBS)?;
    if !wanted && top.is_some_and(|top| top > 0) {
        return invalid("top_logprobs", "absent unless 'logprobs' is true");
    }
    let top = top.map_or(0, |top| u8::try_from(top).expect("it was found to be at most 20"));
    Ok(wanted.then_some(top))
}

/// `{"top_k": 4}`; how many are too many says the operator.
fn retrieval(value: Option<Value>) -> Result<Option<u32>> {
    let Some(value) = value else { return Ok(None) };
    let Value::Object(mut fields) = value else {
        return invalid("retrieval", "an object such as {\"top_k\": 4}");
    };
    fields.retain(|_name, value| !value.is_null());
    let top_k = match fields.remove("top_k") {
        None => DEFAULT_TOP_K,
        Some(value) => match value.as_u64().map(u32::try_from) {
            Some(Ok(top_k)) if (1..=MAX_TOP_K).contains(&top_k) => top_k,
            _ => return invalid("retrieval.top_k", format!("a whole number from 1 to {MAX_TOP_K}")),
        },
    };
    match fields.keys().next() {
        Some(other) => Err(ParameterError::Unknown { param: format!("retrieval.{}", clipped(other)) }),
        None => Ok(Some(top_k)),
    }
}

fn clipped(name: &str) -> String {
    name.chars().take(100).collect()
}

fn response_format(value: Option<Value>) -> Result<ResponseFormat> {
    const EXPECTED: &str = "an object with type 'text', 'json_object' or 'json_schema'";
    let Some(value) = value else { return Ok(ResponseFormat::Text) };
    let Value::Object(mut format) = value else { return invalid("response_format", EXPECTED) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(ResponseFormat::Text),
        Some("json_object") => Ok(ResponseFormat::JsonObject),
        Some("json_schema") => {
            let named = format.remove("json_schema");
            match named.as_ref().and_then(|named| named.get("schema")) {
                Some(schema @ Value::Object(_)) => {
                    Ok(ResponseFormat::JsonSchema { schema: schema.to_string() })
                }
                _ => invalid("response_format.json_schema.schema", "a JSON schema"),
            }
        }
        _ => invalid("response_format.type", EXPECTED),
    }
}

/// A number that was found to fit, zero for none.
fn small(number: Option<u64>) -> u32 {
    number.map_or(0, |number| u32::try_from(number).expect("it was found to be within 32 bits"))
}

fn integer(fields: &mut Map<String, Value>, param: &str, least: u64, most: u64) -> Result<Option<u64>> {
    let Some(value) = fields.remove(param) else { return Ok(None) };
    match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => invalid(param, format!("a whole number from {least} to {most}")),
    }
}

fn max_tokens(fields: &mut Map<String, Value>) -> Result<Option<u32>> {
    let mut take = |param| {
        let number = integer(fields, param, 1, u32::MAX.into())?;
        Ok(number.map(|number| u32::try_from(number).expect("it was found to be within 32 bits")))
    };
    match (take("max_completion_tokens")?, take("max_tokens")?) {
        (Some(new), Some(old)) if new != old => {
            invalid("max_tokens", format!("the same as max_completion_tokens, which is {new}, or absent"))
        }
        (new, old) => Ok(new.or(old)),
    }
}

fn flag(fields: &mut Map<String, Value>, param: &str) -> Result<Option<bool>> {
    match fields.remove(param) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => invalid(param, "true or false"),
    }
}

fn include_usage(fields: &mut Map<String, Value>, stream: bool) -> Result<bool> {
    let mut options = match fields.remove("stream_options") {
        None => return Ok(false),
        Some(_) if !stream => return invalid("stream_options", "absent unless 'stream' is true"),
        Some(Value::Object(options)) => options,
        Some(_) => return invalid("stream_options", "an object"),
    };
    options.retain(|_name, value| !value.is_null());
    let param = |name: &str| format!("stream_options.{name}");
    let usage = match options.remove("include_usage") {
        None => false,
        Some(Value::Bool(usage)) => usage,
        Some(_) => return invalid(param("include_usage"), "true or false"),
    };
    if options.remove("include_obfuscation").is_some_and(|value| value != Value::Bool(false)) {
        return unsupported(param("include_obfuscation"), "only false is");
    }
    match options.keys().next() {
        Some(other) => Err(ParameterError::Unknown { param: param(other) }),
        None => Ok(usage),
    }
}

/// Refuses every parameter that is left and would change the answer.
fn refuse_unsupported(fields: &mut Map<String, Value>) -> Result<()> {
    for name in IGNORED {
        fields.remove(name);
    }
    for (param, value) in fields {
        let (harmless, only) = match param.as_str() {
            "logit_bias" => (is_empty(value), "only an empty one is"),
            "store" => (value == &Value::Bool(false), "only false is"),
            "tools" | "functions" => (is_empty(value), "only an empty array is"),
            "tool_choice" | "function_call" => (
                matches!(value.as_str(), Some("none" | "auto")),
                "only 'none' and 'auto' are, as there are no tools",
            ),
            "modalities" => (value == &serde_json::json!(["text"]), "only [\"text\"] is"),
            "audio" | "prediction" | "reasoning_effort" | "verbosity" | "web_search_options"
            | "moderation" => (false, "leave it out"),
            _ => return Err(ParameterError::Unknown { param: clipped(param) }),
        };
        if !harmless {
            return unsupported(param, only);
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
