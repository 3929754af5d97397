use super::*;

fn pay(bond: u64, gain: u64, against: u64, all: u64) -> bool {
    let [bond, gain, against, all] = [bond, gain, against, all].map(U256::from);
    Odds { bond, gain, against, all }.pay()
}

#[test]
fn an_appeal_is_made_where_it_wins_more_than_it_risks() {
    assert!(pay(100, 100, 49, 100));
    assert!(!pay(100, 100, 50, 100), "half of all stake is not overturned");
    assert!(!pay(100, 10, 10, 100), "nine to one against one for ten");
    assert!(pay(100, 12, 10, 100));
    assert!(pay(100, 1, 0, 100), "where nobody spoke nobody is against it");
    assert!(!pay(100, 0, 0, 100), "for nothing");
    assert!(!pay(100, 100, 100, 90), "more than all");
}
