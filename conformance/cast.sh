#!/usr/bin/env bash
# Foundry's cast, unmodified: fees, a transfer, an OpenZeppelin token, its events over WebSocket, a permit (EIP-712), tags, refusals.
# conformance/cast.sh CAST RPC KEY TOKEN.json
set -euo pipefail
cast=$1 rpc=$2 key=$3 token_file=$4
export ETH_RPC_URL=$rpc
fail() { printf 'cast: %s\n' "$*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || fail "$3: $1 is not $2"; }
refused() { # the words of the refusal, then the command
  local words=$1 said; shift
  said=$("$@" 2>&1) && fail "accepted, though it should be refused with '$words': $*"
  grep -qi "$words" <<<"$said" || fail "not refused with '$words': $said"
}
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
owner=$("$cast" wallet address "$key")
friend_key=$("$cast" wallet new --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print((d[0] if isinstance(d, list) else d)["private_key"])')
friend=$("$cast" wallet address "$friend_key")
send() { "$cast" send --private-key "$key" --json "$@"; }

# Fees and a transfer.
[ "$("$cast" gas-price)" -gt 0 ] || fail "no gas price"
same "$("$cast" estimate "$friend" --from "$owner" --value 1)" 21000 "gas of a transfer"
receipt=$(send "$friend" --value 2ether)
same "$(field status <<<"$receipt") $(field gasUsed <<<"$receipt")" "0x1 0x5208" "status and gas of a transfer"
same "$("$cast" balance "$friend")" 2000000000000000000 "the balance of the friend"
sent_in=$(($(field blockNumber <<<"$receipt")))
for tag in safe finalized latest; do
  [ "$("$cast" block "$tag" --field number)" -ge "$sent_in" ] || fail "$tag is behind a receipt that was shown"
done
same "$("$cast" tx "$(field transactionHash <<<"$receipt")" blockHash)" "$(field blockHash <<<"$receipt")" "the block of the transfer"

# An OpenZeppelin token, and its events over WebSocket.
bytecode=$(field bytecode <"$token_file")
token=$(send --create "$bytecode" "constructor(uint256)" 1000000 | field contractAddress)
same "$("$cast" call "$token" "balanceOf(address)(uint256)" "$owner" | cut -d' ' -f1)" 1000000 "the supply of the deployer"
heard=$(mktemp)
"$cast" logs --rpc-url "${rpc/http/ws}" --subscribe --address "$token" "Transfer(address indexed,address indexed,uint256)" >"$heard" &
listener=$!
trap 'kill $listener 2>/dev/null; rm -f "$heard"' EXIT
sleep 2
moved=$(send "$token" "transfer(address,uint256)" "$friend" 7)
hash=$(field transactionHash <<<"$moved")
for _ in $(seq 100); do grep -q "$hash" "$heard" && break; sleep 0.1; done
grep -q "$hash" "$heard" || fail "no event within 10 s: $(cat "$heard")"
found=$("$cast" logs --from-block "$(($(field blockNumber <<<"$moved")))" --address "$token" --json \
  | python3 -c 'import json,sys; print(*[log["transactionHash"] for log in json.load(sys.stdin)])')
same "$found" "$hash" "eth_getLogs"

# EIP-712: the friend's permit, sent by the owner.
deadline=18446744073709551616
typed=$(python3 - "$("$cast" chain-id)" "$token" "$friend" "$owner" "$deadline" <<'PY'
import json, sys
chain, token, owner, spender, deadline = sys.argv[1:]
fields = lambda names, kind: [{"name": name, "type": kind} for name in names]
print(json.dumps({
    "types": {
        "EIP712Domain": fields(("name", "version"), "string") + fields(("chainId",), "uint256") + fields(("verifyingContract",), "address"),
        "Permit": fields(("owner", "spender"), "address") + fields(("value", "nonce", "deadline"), "uint256"),
    },
    "primaryType": "Permit",
    "domain": {"name": "Conformance", "version": "1", "chainId": int(chain), "verifyingContract": token},
    "message": {"owner": owner, "spender": spender, "value": "5", "nonce": "0", "deadline": deadline},
}))
PY
)
signature=$("$cast" wallet sign --private-key "$friend_key" --data "$typed")
r=0x${signature:2:64} s=0x${signature:66:64} v=$((16#${signature:130:2}))
send "$token" "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)" "$friend" "$owner" 5 "$deadline" "$v" "$r" "$s" >/dev/null
same "$("$cast" call "$token" "allowance(address,address)(uint256)" "$friend" "$owner")" 5 "what the permit allows"

# Access lists, storage, code.
"$cast" access-list "$token" "totalSupply()" --from "$owner" | grep -qi "${token:2}" || fail "the access list lacks the token"
[ "$("$cast" codesize "$token")" -gt 1000 ] || fail "the token has no code"
same "$(($("$cast" storage "$token" 2)))" 1000000 "the slot of the supply"

# Refusals.
poor_key=0x$(printf '%064d' 42)
refused "insufficient funds" "$cast" send --private-key "$poor_key" "$owner" --value 1
refused "nonce too low" "$cast" send --private-key "$key" --nonce 0 --gas-limit 21000 "$owner" --value 1
refused "ERC20InsufficientBalance\|e450d38c" "$cast" call "$token" "transfer(address,uint256)" "$friend" 1 --from "$("$cast" wallet address "$poor_key")"
refused "does not exist" "$cast" rpc eth_coinbase
refused "openledger_getProof" "$cast" proof "$owner"
echo "cast: $("$cast" block-number) blocks, token $token"
