//! Vectors and properties of the vocabulary.

use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};
use alloy_sol_types::SolValue;
use proptest::prelude::*;

use crate::amount::{AmountError, ONE_OPEN, SUPPLY, format_open, parse_open};
use crate::batch::{Payout, PayoutKind, payout_leaf, payout_tree, receipts_root};
use crate::merkle::{MerkleTree, leaf, sum_root, verify};
use crate::receipt::*;
use crate::shares::{apportion, ppm_shares};
use crate::split::{FeeParts, FeeSplit};

fn receipt(sequence: u32, fee: u64) -> Receipt {
    Receipt {
        operator: Address::repeat_byte(1),
        payer: Address::repeat_byte(2),
        key: B256::repeat_byte(3),
        epoch: 7,
        sequence,
        adapter: U256::from(1),
        adapterHash: B256::repeat_byte(4),
        baseHash: B256::repeat_byte(5),
        datanetsRoot: B256::repeat_byte(6),
        requestHash: B256::repeat_byte(7),
        responseHash: B256::repeat_byte(8),
        attributionHash: B256::repeat_byte(9),
        promptTokens: 10,
        completionTokens: 20,
        inputPrice: U256::from(1),
        outputPrice: U256::from(2),
        fee: U256::from(fee),
        issuedAt: 1_700_000_000,
    }
}

fn answer(sequence: u32, fee: u64) -> Answer {
    Answer {
        receipt: receipt(sequence, fee),
        signature: Bytes::from(vec![0; 65]),
        request: Request {
            salt: B256::ZERO,
            messages: vec![Message { role: Role::User, content: "what is a crate?".into() }],
            sampling: Sampling::greedy(8),
            prompt_tokens: vec![1, 2, 3],
            retrieval: None,
        },
        response: Response {
            salt: B256::ZERO,
            tokens: vec![4, 5],
            text: "a package".into(),
            finish_reason: FinishReason::Stop,
        },
        attribution: Attribution {
            salt: B256::ZERO,
            tier: Tier::EmpiricalFisher,
            explained_micronats: 42,
            contributors: vec![],
            unattributed_ppm: 1_000_000,
            records: vec![],
            spans: vec![],
            edited_spans: vec![],
            sources: vec![],
        },
    }
}

#[test]
fn what_a_request_does_not_ask_for_is_not_written() {
    let plain = Sampling::greedy(8);
    let text = serde_json::to_string(&plain).unwrap();
    assert_eq!(text, r#"{"temperature_milli":0,"top_p_milli":1000,"seed":0,"max_tokens":8}"#);
    assert_eq!(serde_json::from_str::<Sampling>(&text).unwrap(), plain);
    let full = Sampling {
        top_k: 40,
        min_p_milli: 50,
        presence_penalty_milli: -500,
        frequency_penalty_milli: 250,
        repetition_penalty_milli: 1100,
        stop: vec!["\n\n".into()],
        response_format: ResponseFormat::JsonSchema { schema: r#"{"type":"object"}"#.into() },
        ..plain
    };
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"temperature_milli":0,"top_p_milli":1000,"seed":0,"max_tokens":8,"top_k":40,"min_p_milli":50,"#,
            r#""presence_penalty_milli":-500,"frequency_penalty_milli":250,"repetition_penalty_milli":1100,"#,
            r#""stop":["\n\n"],"response_format":{"type":"json_schema","schema":"{\"type\":\"object\"}"}}"#
        )
    );
    assert_eq!(decode_document::<Sampling>(text.as_bytes()).unwrap(), full);
}

#[test]
fn sources_are_written_only_where_some_were_asked_for() {
    let Answer { mut request, mut attribution, .. } = answer(1, 1);
    let (plain, plainly) = (encode_document(&request), encode_document(&attribution));
    assert!(!String::from_utf8(plain).unwrap().contains("retrieval"));
    assert!(!String::from_utf8(plainly).unwrap().contains("sources"));
    let record = B256::repeat_byte(1);
    request.retrieval = Some(Retrieval {
        method: RetrievalMethod::Bm25,
        records_root: B256::repeat_byte(2),
        block: 7,
        top_k: 4,
        sources: vec![Source { record, cluster: 3, datanet: U256::from(2), version: 1 }],
    });
    let text = String::from_utf8(encode_document(&request)).unwrap();
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    let expected = format!(
        concat!(
            r#""retrieval":{{"method":"bm25/1","records_root":"0x{}","block":7,"top_k":4,"#,
            r#""sources":[{{"record":"0x{}","cluster":3,"datanet":"0x2","version":1}}]}}}}"#
        ),
        two, one
    );
    assert!(text.ends_with(&expected), "{text}");
    assert_eq!(decode_document::<Request>(text.as_bytes()).unwrap(), request);
    let credit = |nanonats| SourceCredit { record, contributor: Address::ZERO, share_ppm: 5, nanonats };
    attribution.sources = vec![credit(2_500_999), credit(-500_000)];
    let bytes = encode_document(&attribution);
    assert_eq!(decode_document::<Attribution>(&bytes).unwrap(), attribution);
    assert_eq!(attribution.retrieved_micronats(), 2_000);
    attribution.sources = vec![credit(i64::MAX); 4];
    assert!(attribution.retrieved_micronats() > 0, "what nobody computes is no overflow");
}

#[test]
fn edited_spans_are_written_only_where_there_are_any() {
    let Answer { mut attribution, .. } = answer(1, 1);
    let text = serde_json::to_string(&attribution).unwrap();
    assert!(!text.contains("edited_spans"));
    assert_eq!(serde_json::from_str::<Attribution>(&text).unwrap(), attribution);
    attribution.edited_spans.push(EditedSpan {
        start: 3,
        end: 9,
        text: "a package".into(),
        score_millibits: 60_000,
        identity_ppm: 833_333,
        matched: 5,
        substituted: 1,
        inserted: 0,
        left_out: 0,
        source: SpanMatch { record: B256::ZERO, contributor: Address::ZERO, token: 7 },
        source_tokens: 6,
    });
    let text = serde_json::to_string(&attribution).unwrap();
    assert_eq!(serde_json::from_str::<Attribution>(&text).unwrap(), attribution);
}

#[test]
fn amounts_are_read_and_written_to_the_last_unit() {
    for (text, wei) in [
        ("0", U256::ZERO),
        ("1", ONE_OPEN),
        ("1.5", ONE_OPEN + ONE_OPEN / U256::from(2)),
        ("0.000000000000000001", U256::from(1)),
        ("1000000000", SUPPLY),
    ] {
        assert_eq!(parse_open(text), Ok(wei), "{text}");
        assert_eq!(format_open(wei), text);
    }
    for text in ["", ".", "1.", ".5", "-1", "1e3", "1 ", "0x1", "1_000", "1.2.3"] {
        assert!(matches!(parse_open(text), Err(AmountError::Malformed(_))), "{text:?}");
    }
    assert!(matches!(parse_open("0.0000000000000000001"), Err(AmountError::TooPrecise { digits: 19, .. })));
    assert!(matches!(parse_open("1000000000.000000000000000001"), Err(AmountError::TooLarge(_))));
    assert!(matches!(parse_open(&"9".repeat(100)), Err(AmountError::TooLarge(_))));
}

#[test]
fn a_standard_merkle_tree_matches_openzeppelins_layout() {
    let leaves: Vec<B256> = (0u64..5).map(|n| leaf(&U256::from(n).abi_encode())).collect();
    let tree = MerkleTree::new(leaves.clone());
    for l in &leaves {
        let proof = tree.proof(*l).expect("every leaf has a proof");
        assert!(verify(tree.root(), *l, &proof));
        assert!(!verify(tree.root(), keccak256(l), &proof));
    }
    assert_eq!(tree.proof(B256::ZERO), None);
    let mut reversed = leaves;
    reversed.reverse();
    assert_eq!(MerkleTree::new(reversed).root(), tree.root(), "the order of the leaves does not matter");
    assert_eq!(MerkleTree::new(vec![]).root(), B256::ZERO);
}

#[test]
fn the_receipt_id_is_its_eip712_hash() {
    let id = receipt(0, 50).id(20260);
    assert_eq!(id, b256!("a2b9e97c6dec9339cd398c5fb0b214d07dbb7dce35a3352e9b1a79c06e3b9fde"));
    assert_ne!(receipt(1, 50).id(20260), id);
    assert_ne!(receipt(0, 50).id(1), id, "a receipt belongs to one chain");
    assert_eq!(receipt(0, 50).expected_fee(), Some(U256::from(50)));
}

#[test]
fn a_document_has_one_encoding() {
    let answer = answer(0, 50);
    let bytes = encode_document(&answer);
    assert_eq!(decode_document::<Answer>(&bytes).expect("canonical bytes decode"), answer);
    let mut spaced = bytes.clone();
    spaced.push(b' ');
    assert!(matches!(decode_document::<Answer>(&spaced), Err(DocumentError::NotCanonical)));
    assert!(matches!(decode_document::<Answer>(&bytes[1..]), Err(DocumentError::Malformed(_))));
    assert_eq!(
        document_hash(&answer),
        b256!("15b9a2d5d3c781c76d2d194ed8174314193658cc25ec11127f41acad64ab41db")
    );
}

#[test]
fn a_receipts_root_binds_every_receipt_and_fee() {
    let answers: Vec<Answer> = (0..3).map(|n| answer(n, 50)).collect();
    let (root, fees) = receipts_root(20260, &answers);
    assert_eq!(fees, U256::from(150));
    let mut changed = answers.clone();
    changed[2].receipt.fee = U256::from(51);
    assert_ne!(receipts_root(20260, &changed).0, root);
    changed = answers;
    changed.swap(0, 1);
    assert_ne!(receipts_root(20260, &changed).0, root);
    assert_eq!(sum_root(&[]), (B256::ZERO, U256::ZERO));
}

#[test]
fn a_payout_can_be_proven_and_no_other() {
    let payouts = [
        Payout { role: PayoutKind::Contributor, account: Address::repeat_byte(1), amount: U256::from(5) },
        Payout { role: PayoutKind::Operator, account: Address::repeat_byte(1), amount: U256::from(5) },
    ];
    let tree = payout_tree(&payouts);
    let proof = tree.proof(payout_leaf(1, &payouts[1])).expect("the leaf is in the tree");
    assert!(verify(tree.root(), payout_leaf(1, &payouts[1]), &proof));
    assert!(!verify(tree.root(), payout_leaf(0, &payouts[1]), &proof));
}

proptest! {
    #[test]
    fn a_split_conserves_the_fee(fee in any::<u128>()) {
        let fee = U256::from(fee);
        let parts = FeeSplit::GENESIS.split(fee);
        let FeeParts { contributors, operator, developer, validators, treasury, burn, rounding } = parts;
        prop_assert_eq!(contributors + operator + developer + validators + treasury + burn, fee);
        prop_assert!(rounding < U256::from(6));
    }

    #[test]
    fn apportioned_parts_add_up(total in any::<u128>(), weights in prop::collection::vec(any::<u64>(), 1..40)) {
        let total = U256::from(total);
        let big: Vec<U256> = weights.iter().map(|w| U256::from(*w)).collect();
        let parts = apportion(total, &big);
        let sum = parts.iter().fold(U256::ZERO, |s, p| s + p);
        let expected = if weights.iter().all(|w| *w == 0) { U256::ZERO } else { total };
        prop_assert_eq!(sum, expected);
        for (part, weight) in parts.iter().zip(&weights) {
            prop_assert!(*weight != 0 || part.is_zero(), "a zero weight gets nothing");
        }
    }

    #[test]
    fn shares_and_the_unattributed_part_make_a_million(
        weights in prop::collection::vec(any::<u64>(), 0..40), rest in any::<u64>(),
    ) {
        let big: Vec<U256> = weights.iter().map(|w| U256::from(*w)).collect();
        let (parts, unattributed) = ppm_shares(&big, U256::from(rest));
        prop_assert_eq!(parts.iter().map(|p| u64::from(*p)).sum::<u64>() + u64::from(unattributed), 1_000_000);
    }

    #[test]
    fn amounts_round_trip(wei in 0u128..1_000_000_000_000_000_000_000_000_000) {
        let wei = U256::from(wei);
        prop_assert_eq!(parse_open(&format_open(wei)), Ok(wei));
    }
}
