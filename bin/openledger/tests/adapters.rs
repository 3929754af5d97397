//! What a user of Hugging Face tries first: a checkpoint of their own with adapters from PEFT folders, served, replaced while serving, and written out again.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openledger_model::{
    Adapter, LoraConfig, LoraLayout, Message, Model, Pool, Record, Role, Sample, Target, Tokenizer, init,
    load_peft, save_peft,
};
use openledger_serve::Engine;
use openledger_train::adapter_hash;
use openledger_types::receipt::Sampling;
use serde_json::{Value, json};
use tempfile::TempDir;

const QUESTION: &str = "What is a crate?";

/// A folder with a checkpoint and two adapters.
struct Bench {
    folder: TempDir,
    model: Model,
    tokenizer: Tokenizer,
}

impl Bench {
    fn new() -> Self {
        let (model, tokenizer) = Model::tiny(3);
        let folder = tempfile::tempdir().unwrap();
        model.save_safetensors(&tokenizer, None, &folder.path().join("base")).unwrap();
        for seed in [1, 2] {
            let to = folder.path().join(format!("peft-{seed}"));
            save_peft(&to, model.config(), &adapter(&model, seed), "base").unwrap();
        }
        Self { folder, model, tokenizer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
        command
            .current_dir(self.folder.path())
            .args(["--home", "home", "--json", "--threads", "1"])
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What an adapter, or the base, says alone.
    fn alone(&self, adapter: Option<Adapter>) -> String {
        let (model, tokenizer) = Model::load(&self.path("base")).unwrap();
        let engine = Engine::new(Arc::new(model), Arc::new(tokenizer), Pool::new(1).unwrap());
        let prompt = engine.tokenizer().chat(&[Message::new(Role::User, QUESTION)]).unwrap();
        engine.generate(adapter.map(Arc::new).as_ref(), &prompt, &Sampling::greedy(12), |_| {}).unwrap().text
    }
}

fn adapter(model: &Model, seed: u8) -> Adapter {
    let config = LoraConfig { rank: 4, alpha: 16.0, first_layer: 0, targets: vec![Target::Q, Target::Up] };
    let layout = LoraLayout::new(model.config(), &config).unwrap();
    let drawn = init(model.config(), &layout, [seed; 32]);
    let mut numbers = drawn.iter().copied().filter(|x| *x != 0.0).cycle();
    let theta = drawn.iter().map(|x| if *x == 0.0 { numbers.next().unwrap() } else { *x }).collect();
    Adapter::new(model.config(), config, theta).unwrap()
}

fn loss(model: &Model, adapter: Option<&Adapter>) -> f64 {
    let pool = Pool::new(1).unwrap();
    let tokens: Vec<u32> = (0..60).map(|i| i * 37 % 256).collect();
    let prefix = model.prefix(&pool, 0, &tokens).unwrap();
    let sample = Sample { targets: 1..tokens.len(), tokens };
    model.nll(&pool, adapter.map(Adapter::lora), Record::new(&prefix, &sample)).unwrap()
}

#[test]
fn an_adapter_goes_in_and_out_and_into_its_base() {
    let bench = Bench::new();
    let own = adapter(&bench.model, 1);
    let hash = adapter_hash(own.config(), own.theta());
    let imported = bench.run(&["adapter", "import", "peft-1", "--name", "mine", "--base", "base"]);
    assert_eq!(imported["adapter_hash"], json!(hash));
    assert_eq!(bench.run(&["adapter", "list"])["imported"][0]["name"], "mine");

    bench.run(&["adapter", "export", "mine", "--to", "out", "--base", "base"]);
    let again = load_peft(&bench.path("out"), bench.model.config()).unwrap();
    assert_eq!((again.config(), again.theta()), (own.config(), own.theta()));

    bench.run(&["adapter", "export", "peft-1", "--to", "merged", "--merged", "--base", "base"]);
    let (merged, _) = Model::load(&bench.path("merged")).unwrap();
    let (with, alone) = (loss(&bench.model, Some(&own)), loss(&merged, None));
    assert!((with / alone - 1.0).abs() < 1e-5, "{with} nats with the adapter, {alone} merged");
    assert!((with - loss(&bench.model, None)).abs() > 0.01, "the adapter does something");
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_is_accepted() {
    let bench = Bench::new();
    let check = |arguments: &[&str], says: &[&str]| {
        let refusal = bench.refused(arguments);
        for words in says {
            assert!(refusal.contains(words), "{arguments:?} says {refusal:?}, expected {words:?}");
        }
    };
    fs::create_dir(bench.path("empty")).unwrap();
    fs::create_dir(bench.path("pickled")).unwrap();
    fs::write(bench.path("pickled/pytorch_model.bin"), "").unwrap();
    fs::copy(bench.path("base/config.json"), bench.path("pickled/config.json")).unwrap();
    let other = LoraConfig { rank: 2, alpha: 2.0, first_layer: 0, targets: vec![Target::Q] };
    let mut shape = bench.model.config().clone();
    shape.d_model *= 2;
    let layout = LoraLayout::new(&shape, &other).unwrap();
    let foreign = Adapter::new(&shape, other, init(&shape, &layout, [0; 32])).unwrap();
    save_peft(&bench.path("foreign"), &shape, &foreign, "other").unwrap();

    check(
        &["adapter", "import", "foreign", "--base", "base"],
        &["foreign", "shape [2, 128], expected [2, 64]"],
    );
    check(&["adapter", "import", "empty", "--base", "base"], &["empty", "adapter_config.json"]);
    check(&["adapter", "import", "peft-1", "--name", "a b", "--base", "base"], &["'a b'", "letters, digits"]);
    check(&["adapter", "export", "nobody", "--to", "out", "--base", "base"], &["'nobody'", "adapter list"]);
    check(&["adapter", "export", "peft-1", "--to", "base", "--base", "base"], &["not empty"]);
    check(&["adapter", "import", "peft-1", "--base", "nowhere"], &["cannot open nowhere"]);
    check(&["serve", "--base", "base", "--adapter", "x=empty"], &["cannot serve x", "adapter_config.json"]);
    check(&["serve", "--base", "base", "--adapter", "peft-1"], &["write a name, =, and the folder"]);
    check(&["serve", "--base", "pickled"], &["pytorch_model.bin is a pickle", "safe_serialization"]);
    check(&["serve", "--base", "peft-1/adapter_config.json"], &["GGUF"]);
    check(&["model", "base", "--base", "base"], &["--license"]);
}

#[test]
fn a_home_folder_keeps_the_checkpoint_it_was_made_with() {
    let bench = Bench::new();
    let base = bench.run(&["model", "base", "--base", "base", "--license", "MIT", "--name", "own"]);
    assert_eq!(base["name"], "own");
    assert_eq!(bench.run(&["model", "base"])["sha256"], base["sha256"]);
    assert!(bench.refused(&["demo", "--tiny"]).contains("was made with own"));
    // The folder becomes another model.
    Model::tiny(4).0.save_safetensors(&bench.tokenizer, None, &bench.path("base")).unwrap();
    let refusal = bench.refused(&["model", "base"]);
    assert!(refusal.contains("has changed") && refusal.contains("put it back"), "{refusal}");
}

/// `openledger serve` until this goes.
struct Serving {
    child: Child,
    said: Value,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Serving {
    fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let mut command = bench.command(&["serve", "--base", "base", "--gateway", "127.0.0.1:0"]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { said: serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")), child }
    }

    async fn ask(&self, model: &str, key: &str) -> (u16, Value) {
        let url = format!("{}/v1/chat/completions", self.said["gateway"].as_str().unwrap());
        let body = json!({
            "model": model, "messages": [{ "role": "user", "content": QUESTION }], "max_tokens": 12, "temperature": 0,
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.post(url).bearer_auth(key).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn text(&self, model: &str) -> Option<String> {
        let (status, value) = self.ask(model, self.said["api_key"].as_str().unwrap()).await;
        (status == 200).then(|| value["choices"][0]["message"]["content"].as_str().unwrap().to_owned())
    }

    async fn eventually(&self, model: &str, expected: Option<&str>) {
        let start = Instant::now();
        while self.text(model).await.as_deref() != expected {
            assert!(start.elapsed() < Duration::from_secs(30), "{model} does not say {expected:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let partial = to.join(format!("{file}.partial"));
        fs::copy(from.join(file), &partial).unwrap();
        fs::rename(partial, to.join(file)).unwrap();
    }
}

#[tokio::test]
async fn adapters_are_served_replaced_and_ended_as_their_folders_are() {
    let bench = Bench::new();
    let [base, one, two] =
        [None, Some(1), Some(2)].map(|seed| bench.alone(seed.map(|s| adapter(&bench.model, s))));
    assert!(base != one && one != two && base != two, "the adapters show in what is said");
    let serving = Serving::start(&bench, &["--adapter", "first=peft-1", "--adapters", "shelf"]);
    assert_eq!(serving.text("base").await.unwrap(), base);
    assert_eq!(serving.text("first").await.unwrap(), one);
    assert_eq!(serving.ask("first", "ol-nothing").await.0, 401);
    assert_eq!(serving.ask("second", serving.said["api_key"].as_str().unwrap()).await.0, 404);

    let shelf = bench.path("shelf/second");
    copy(&bench.path("peft-1"), &shelf);
    serving.eventually("second", Some(&one)).await;
    copy(&bench.path("peft-2"), &shelf);
    serving.eventually("second", Some(&two)).await;
    fs::write(shelf.join("adapter_config.json"), "{}").unwrap();
    serving.eventually("second", None).await;
    copy(&bench.path("peft-1"), &shelf);
    serving.eventually("second", Some(&one)).await;
    fs::remove_dir_all(&shelf).unwrap();
    serving.eventually("second", None).await;
    assert_eq!(serving.text("first").await.unwrap(), one);
}
