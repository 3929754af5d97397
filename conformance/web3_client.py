"""web3.py, unmodified: fees, a transfer, an OpenZeppelin token, its events over WebSocket, a permit, tags, refusals."""

import asyncio
import json
import sys

from eth_account import Account
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, Web3RPCError

RPC, KEY, TOKEN_FILE = sys.argv[1:4]
with open(TOKEN_FILE, encoding="utf8") as file:
    TOKEN = json.load(file)
web3 = Web3(Web3.HTTPProvider(RPC))
owner, friend = Account.from_key(KEY), Account.create()


def check(condition, text):
    if not condition:
        raise AssertionError(f"web3.py: {text}")


def send(transaction):
    """Signs what web3.py filled in, sends it and waits."""
    signed = owner.sign_transaction(transaction)
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.02)
    check(receipt["status"] == 1, f"{receipt['transactionHash'].hex()} failed")
    return receipt


def filled(**fields):
    """A transaction with the fees that web3.py estimates."""
    base, tip = web3.eth.get_block("latest")["baseFeePerGas"], web3.eth.max_priority_fee
    nonce = web3.eth.get_transaction_count(owner.address, "pending")
    fees = {"maxFeePerGas": 2 * base + tip, "maxPriorityFeePerGas": tip, "chainId": web3.eth.chain_id, "nonce": nonce}
    transaction = {"from": owner.address, **fees, **fields}
    return {"gas": web3.eth.estimate_gas(transaction), **transaction}


history = web3.eth.fee_history(4, "latest", [10, 90])
check(len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1, "fee history has the wrong length")
sent = send(filled(to=friend.address, value=10**18))
check(sent["gasUsed"] == 21_000, "a transfer used other than 21,000 gas")
check(web3.eth.get_balance(friend.address) == 10**18, "the transfer did not arrive")
for tag in ("safe", "finalized", "latest"):
    check(web3.eth.get_block(tag)["number"] >= sent["blockNumber"], f"{tag} is behind a receipt that was shown")
check(sent["transactionHash"] in web3.eth.get_block(sent["blockNumber"])["transactions"], "the block lacks the transfer")
check(web3.eth.get_transaction(sent["transactionHash"])["blockHash"] == sent["blockHash"], "the transaction is elsewhere")
check(len(web3.eth.get_block_receipts(sent["blockNumber"])) >= 1, "the block has no receipts")

factory = web3.eth.contract(abi=TOKEN["abi"], bytecode=TOKEN["bytecode"])
token = web3.eth.contract(
    abi=TOKEN["abi"], address=send(filled(data=factory.constructor(10**24).data_in_transaction))["contractAddress"]
)
check(token.functions.balanceOf(owner.address).call() == 10**24, "the deployer does not have the supply")


async def heard():
    """A Transfer event over WebSocket, and a transaction announced before it was included."""
    async with AsyncWeb3(WebSocketProvider(RPC.replace("http", "ws"))) as socket:
        logs = await socket.eth.subscribe("logs", {"address": token.address})
        waiting = await socket.eth.subscribe("newPendingTransactions")
        data = token.encode_abi("transfer", [friend.address, 7])
        receipt = await asyncio.to_thread(send, filled(to=token.address, data=data))
        seen = {}
        async for message in socket.socket.process_subscriptions():
            seen[message["subscription"]] = message["result"]
            if logs in seen and waiting in seen:
                break
        return receipt, seen[logs], seen[waiting]


moved, log, announced = asyncio.run(asyncio.wait_for(heard(), 30))
check(log["transactionHash"] == moved["transactionHash"] == announced, "the announced are not the transfer's")
event = token.events.Transfer().process_log(log)
check(event["args"]["value"] == 7 and event["args"]["to"] == friend.address, "the event is another")
found = token.events.Transfer().get_logs(from_block=moved["blockNumber"])
check([entry["logIndex"] for entry in found] == [log["logIndex"]], "eth_getLogs and the subscription differ")
polled = web3.eth.filter({"address": token.address})
check(polled.get_new_entries() == [], "a new filter is not empty")

deadline = 2**64
fields = ("owner", "spender"), ("value", "nonce", "deadline")
types = [{"name": name, "type": kind} for names, kind in zip(fields, ("address", "uint256")) for name in names]
signed = friend.sign_typed_data(
    {"name": "Conformance", "version": "1", "chainId": web3.eth.chain_id, "verifyingContract": token.address},
    {"Permit": types},
    {"owner": friend.address, "spender": owner.address, "value": 5, "nonce": 0, "deadline": deadline},
)
arguments = [friend.address, owner.address, 5, deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")]
send(filled(to=token.address, data=token.encode_abi("permit", arguments)))
check(token.functions.allowance(friend.address, owner.address).call() == 5, "the permit did not count")
check(len(polled.get_new_entries()) == 1, "the filter did not see the approval")

made = web3.eth.create_access_list({"from": owner.address, "to": token.address, "data": token.encode_abi("totalSupply", [])})
check(made["accessList"][0]["address"] == token.address, "the access list lacks the token")
over = {friend.address: {"balance": hex(10**30)}}
call = {"from": friend.address, "to": owner.address, "value": 10**29}
check(web3.eth.call(call, "latest", over) == b"", "an overridden balance does not count")

stranger = Account.create().address
try:
    token.functions.transfer(owner.address, 1).call({"from": stranger})
    raise AssertionError("web3.py: a token transfer without tokens was accepted")
except ContractCustomError as error:
    check(str(error.data).startswith("0xe450d38c"), f"not ERC20InsufficientBalance: {error}")
try:
    web3.eth.estimate_gas({"from": stranger, "to": owner.address, "value": 1})
    raise AssertionError("web3.py: a transfer without funds was estimated")
except Web3RPCError as error:
    check("insufficient funds" in str(error), str(error))
print(f"web3.py: {web3.eth.block_number} blocks, token {token.address}")
