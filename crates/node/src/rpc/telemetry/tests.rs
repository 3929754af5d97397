use super::*;

#[test]
fn a_node_that_is_behind_says_where_it_is_and_where_it_goes() {
    let status = |head, highest| Status { head, highest };
    assert_eq!(
        syncing(7, &status(40, 100)),
        json!({ "startingBlock": "0x7", "currentBlock": "0x28", "highestBlock": "0x64" })
    );
    // Blocks that have come in and are being executed.
    assert_eq!(syncing(7, &status(98, 100)), json!(false));
    assert_eq!(syncing(7, &status(100, 100)), json!(false));
}
