"""Transformers and PEFT beside the commands on adapters: see `conformance/peft`."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

openledger, work = sys.argv[1], pathlib.Path(sys.argv[2])
PROMPTS = ["What is the capital of France?", "Name three rivers.", "Write one sentence about bread.", "Count to ten."]
TOKENS = 32
# Serving computes with weights and inputs of eight bits: where it first takes another token than float32 does, that is at most so many nats less likely. Measured: 0.66.
NEARLY = 1.0
torch.manual_seed(1)


def run(*arguments):
    done = subprocess.run([openledger, "--home", work / "home", "--json", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return json.loads(done.stdout)


def logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].double()


def apart(a, b):
    """Largest difference of two sets of log-probabilities, in nats."""
    return (a.log_softmax(-1) - b.log_softmax(-1)).abs().max().item()


def zero_adapter(folder, layers, width, out):
    """An adapter that changes nothing: with it `export --merged` writes the base."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"})
    )
    tensors = {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = torch.zeros(1, width)
        tensors[f"{name}.lora_B.weight"] = torch.zeros(out, 1)
    save_file(tensors, folder / "adapter_model.safetensors")


def exchanged(name, base, tokens):
    """An adapter of PEFT's goes in and comes out, and into its base: the logits stay."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", init_lora_weights=False, use_rslora=name == "random", task_type="CAUSAL_LM"
    )
    theirs = get_peft_model(model, config)
    theirs.save_pretrained(work / f"{name}-peft")
    theirs.eval()
    expected = logits(theirs, tokens)
    run("adapter", "import", work / f"{name}-peft", "--name", name, "--base", base)
    run("adapter", "export", name, "--to", work / f"{name}-again", "--base", base)
    run("adapter", "export", name, "--to", work / f"{name}-merged", "--merged", "--base", base)
    fresh = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    plain = logits(fresh, tokens)
    again = apart(logits(PeftModel.from_pretrained(fresh, work / f"{name}-again").eval(), tokens), expected)
    merged = apart(logits(AutoModelForCausalLM.from_pretrained(work / f"{name}-merged", dtype=torch.float32), tokens), expected)
    moved = apart(plain, expected)
    print(f"{name}: the adapter moves log-probabilities by {moved:.3f}; out again {again:.2e}, merged {merged:.2e} nats apart")
    assert moved > 0.1 and again < 1e-3 and merged < 1e-3


def greedy(name, base):
    """The served greedy tokens beside those of transformers on the same weights in float32."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    process = subprocess.Popen(
        [openledger, "--home", work / "home", "--json", "serve", "--base", base, "--gateway", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        said = json.loads(process.stdout.readline())
        same = total = 0
        worst = 0.0
        for prompt in PROMPTS:
            messages = [{"role": "user", "content": prompt}]
            tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)
            with torch.no_grad():
                out = model.generate(tokens, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)[0, tokens.shape[1]:]
            expected = [t for t in out.tolist() if t != tokenizer.eos_token_id]
            body = {"model": said["models"][0], "messages": messages, "max_tokens": TOKENS, "temperature": 0, "logprobs": True}
            request = urllib.request.Request(
                said["gateway"] + "/v1/chat/completions", json.dumps(body).encode(),
                {"Authorization": f"Bearer {said['api_key']}", "Content-Type": "application/json"},
            )
            answer = json.load(urllib.request.urlopen(request))["choices"][0]
            got = [bytes(entry["bytes"]) for entry in (answer["logprobs"] or {"content": []})["content"]]
            wanted = [tokenizer.decode([t]).encode() for t in expected]
            ours = b"".join(got).decode("utf-8", "replace")
            theirs = tokenizer.decode(expected)
            head = len(os.path.commonprefix([got, wanted]))
            same, total = same + head, total + max(len(got), len(wanted))
            if head < len(got) and head < len(wanted):
                # Served weights and inputs have eight bits; where two tokens are nearly as likely the other one may be taken.
                other = tokenizer(got[head].decode("utf-8", "replace"), add_special_tokens=False)["input_ids"][0]
                at = logits(model, tokens[0].tolist() + expected[:head])[-1].log_softmax(-1)
                worst = max(worst, (at[expected[head]] - at[other]).item())
            print(f"  {prompt!r}: {'the same' if ours == theirs else f'{head} of {len(wanted)} tokens, then {ours!r} for {theirs!r}'}")
        print(f"{name}: {same} of {total} greedy tokens before the first difference, where the other token is at most {worst:.3f} nats less likely")
        return worst
    finally:
        process.terminate()
        process.wait()


def random_llama(tokenizer_folder):
    """A Llama of another shape than SmolLM2, in bfloat16 and shards, with a head of its own."""
    folder = work / "random"
    config = LlamaConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tokenizer_folder)), hidden_size=256, intermediate_size=512, num_hidden_layers=6,
        num_attention_heads=8, num_key_value_heads=2, head_dim=64, max_position_embeddings=512, rope_theta=50000.0,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="2MB")
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    assert (folder / "model.safetensors.index.json").exists()
    return folder


if len(sys.argv) > 3:
    zero_adapter(work / "zero", 30, 576, 576)
    run("adapter", "export", work / "zero", "--to", work / "smollm2", "--merged", "--base", sys.argv[3])
    tokens = AutoTokenizer.from_pretrained(work / "smollm2")("The quick brown fox jumps over the lazy dog.")["input_ids"]
    exchanged("smollm2", work / "smollm2", tokens)
    assert greedy("SmolLM2", work / "smollm2") < NEARLY
    folder = random_llama(work / "smollm2")
    exchanged("random", folder, tokens)
else:
    sys.exit("name the GGUF file of SmolLM2")
