"""The official client against our gateway."""

import sys
import time
import typing
import urllib.request

import openai
import pydantic

gateway, key = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{gateway}/v1", api_key=key)
model = client.models.list().data[0].id
question = [{"role": "user", "content": "What does the Rust crate serde do?"}]
whole = client.chat.completions.create(model=model, messages=question, max_tokens=8, temperature=0, seed=1)
extra = whole.model_extra["openledger"]
assert int(extra["fee_wei"]) > 0 and extra["receipt"].startswith("0x"), extra
shares = sum(c["share_ppm"] for c in extra["attribution"]["contributors"]) + extra["attribution"]["unattributed_ppm"]
assert shares == 1_000_000, shares
assert whole.usage.completion_tokens <= 8
text, last = "", None
for chunk in client.chat.completions.create(
    model=model, messages=question, max_tokens=8, temperature=0, seed=1, stream=True, stream_options={"include_usage": True}
):
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
    last = chunk
assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
assert last.usage.total_tokens == whole.usage.total_tokens
assert last.model_extra["openledger"]["receipt"] != extra["receipt"], "each answer has its own receipt"


def refused(error, call):
    try:
        call()
    except error as raised:
        print(f"{raised.status_code}: {raised.body['message']}")
        return raised
    raise AssertionError(f"{error.__name__} was expected")


refused(openai.NotFoundError, lambda: client.chat.completions.create(model="no-such-adapter", messages=question))
poor = openai.OpenAI(base_url=f"{gateway}/v1", api_key="ol-" + "A" * 43, max_retries=0)
payment = refused(openai.APIStatusError, lambda: poor.chat.completions.create(model=model, messages=question))
assert payment.status_code == 402, payment.status_code
wrong = openai.OpenAI(base_url=f"{gateway}/v1", api_key="wrong", max_retries=0)
refused(openai.AuthenticationError, lambda: wrong.chat.completions.create(model=model, messages=question))
refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=question, n=9))
refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=question, stop=""))


def ask(**parameters):
    return client.chat.completions.create(model=model, messages=question, seed=1, temperature=0.9, **parameters)


free = ask(max_tokens=24, logprobs=True, top_logprobs=2).choices[0]
named = free.logprobs.content
assert b"".join(bytes(token.bytes) for token in named).decode(errors="replace") == free.message.content
assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in named)
stop = next(c for c in free.message.content[1:] if c.isascii())
stopped = ask(max_tokens=24, stop=[stop]).choices[0]
assert stopped.finish_reason == "stop" and stopped.message.content == free.message.content.split(stop)[0], stopped
several = ask(max_tokens=6, n=3)
assert [choice.index for choice in several.choices] == [0, 1, 2]
assert len({choice.model_extra["openledger"]["receipt"] for choice in several.choices}) == 3
text = {0: "", 1: "", 2: ""}
for chunk in ask(max_tokens=6, n=3, stream=True):
    for choice in chunk.choices:
        text[choice.index] += choice.delta.content or ""
assert list(text.values()) == [choice.message.content for choice in several.choices], text
changed = ask(max_completion_tokens=24, presence_penalty=1.5, frequency_penalty=0.5, extra_body={"top_k": 20, "min_p": 0.01})
assert changed.usage.completion_tokens <= 24


class Crate(pydantic.BaseModel):
    kind: typing.Literal["library", "binary"]
    stable: bool
    features: typing.Annotated[list[typing.Literal["std", "derive"]], pydantic.Field(max_length=2)]


parsed = client.chat.completions.parse(model=model, messages=question, max_tokens=120, temperature=0.9, seed=1, response_format=Crate)
assert isinstance(parsed.choices[0].message.parsed, Crate), parsed
print(parsed.choices[0].message.content)
cut = ask(max_tokens=6, response_format={"type": "json_object"}).choices[0].message.content
assert cut.startswith("{"), cut
impossible = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer", "minimum": 2, "maximum": 1}}}
wrong = refused(openai.BadRequestError, lambda: ask(max_tokens=6, response_format=impossible))
assert wrong.body["param"] == "response_format", wrong.body

cited = client.chat.completions.create(
    model=model, messages=question, max_tokens=8, temperature=0, seed=1, extra_body={"retrieval": {"top_k": 1}}
)
citations = cited.choices[0].model_extra["citations"]
assert [citation["index"] for citation in citations] == [1], citations
assert all(citation["record"].startswith("0x") and citation["snippet"] and citation["owner"] for citation in citations), citations
assert cited.usage.prompt_tokens > whole.usage.prompt_tokens, "the tokens of the sources are paid for"
attribution = cited.model_extra["openledger"]["attribution"]
shares = [c["share_ppm"] for c in attribution["contributors"] + attribution["sources"]]
assert sum(shares) + attribution["unattributed_ppm"] == 1_000_000, attribution
last = None
for chunk in client.chat.completions.create(
    model=model, messages=question, max_tokens=8, temperature=0, seed=1, stream=True, extra_body={"retrieval": {"top_k": 1}}
):
    last = chunk
assert last.choices[0].model_extra["citations"] == citations, last
for wrong, param in [({"top_k": 9}, "retrieval.top_k"), ({"k": 1}, "retrieval.k"), (4, "retrieval")]:
    raised = refused(openai.BadRequestError, lambda: ask(max_tokens=6, extra_body={"retrieval": wrong}))
    assert raised.body["param"] == param, raised.body
raised = refused(openai.BadRequestError, lambda: ask(max_tokens=800, extra_body={"retrieval": {"top_k": 8}}))
assert raised.body["code"] == "context_length_exceeded" and "sources" in raised.body["message"], raised.body
print("sources are cited:", [citation["title"] for citation in citations])

with client.chat.completions.create(model=model, messages=question, max_tokens=900, temperature=0, stream=True) as stream:
    for number, _chunk in enumerate(stream):
        if number == 3:
            break
for _ in range(100):
    with urllib.request.urlopen(f"{gateway}/metrics") as page:
        figures = dict(line.rsplit(" ", 1) for line in page.read().decode().splitlines() if line[:1] != "#")
    if figures["openledger_requests_running"] == "0" and float(figures["openledger_requests_cancelled_total"]) >= 1:
        break
    time.sleep(0.1)
else:
    raise AssertionError(figures)
assert int(figures["openledger_requests_finished_total"]) >= 8, figures
print("the official client is served")
