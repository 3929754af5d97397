"""The official client against our gateway."""

import sys

import openai

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
refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=question, n=2))
print("the official client is served")
