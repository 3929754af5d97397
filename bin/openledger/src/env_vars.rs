//! Every environment variable that the binary reads.

/// Password of the keystore; without it the password file of the home folder is used.
pub(crate) const PASSWORD: &str = "OPENLEDGER_PASSWORD";
/// API key for `chat`; without it the key that the home folder keeps.
pub(crate) const API_KEY: &str = "OPENLEDGER_API_KEY";
/// Where cargo keeps the crates it downloaded; its own default is `.cargo` in the user's folder.
pub(crate) const CARGO_HOME: &str = "CARGO_HOME";
/// What the log shows, in the syntax of `tracing_subscriber::EnvFilter`; warnings by default.
pub(crate) const LOG: &str = "OPENLEDGER_LOG";
/// How the log is written: `text`, the default, or `json`, an object on each line.
pub(crate) const LOG_FORMAT: &str = "OPENLEDGER_LOG_FORMAT";
/// The platform's data folder, where the home folder lies by default.
pub(crate) const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// The user's folder.
pub(crate) const HOME: &str = "HOME";

/// Reads a variable; unset and empty are the same.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
