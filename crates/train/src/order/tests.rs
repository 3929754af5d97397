use super::*;

#[test]
fn an_epoch_takes_every_record_once_whatever_the_batch_size() {
    for (records, per_step) in [(1_usize, 1), (1, 4), (7, 3), (10, 4), (100, 7)] {
        let steps = (3 * records).div_ceil(per_step);
        let stream: Vec<u32> =
            batches(B256::repeat_byte(7), records, steps, per_step).into_iter().flatten().collect();
        for epoch in stream.chunks_exact(records) {
            let mut seen = epoch.to_vec();
            seen.sort_unstable();
            assert_eq!(seen, (0..records as u32).collect::<Vec<_>>(), "{records} records, {per_step} a step");
        }
    }
}

#[test]
fn a_seed_gives_the_stated_order() {
    let flat = |seed| batches(seed, 10, 4, 5).concat();
    assert_eq!(flat(B256::ZERO), [7, 1, 9, 2, 8, 4, 0, 5, 6, 3, 6, 7, 5, 0, 9, 4, 2, 8, 3, 1]);
    assert_ne!(flat(B256::ZERO), flat(B256::repeat_byte(1)));
}

#[test]
fn as_many_records_are_held_out_as_is_asked_for_and_one_is_always_left() {
    for (records, ppm, count) in
        [(10, 0, 0), (10, 100_000, 1), (19, 100_000, 1), (20, 100_000, 2), (1, 900_000, 0), (2, 900_000, 1)]
    {
        let out = held_out(B256::repeat_byte(3), records, ppm);
        assert_eq!(out.len(), count, "{ppm} ppm of {records}");
        assert!(out.is_sorted() && out.iter().all(|&r| (r as usize) < records));
    }
    assert_ne!(held_out(B256::repeat_byte(3), 100, 100_000), held_out(B256::repeat_byte(4), 100, 100_000));
}

#[test]
fn every_place_is_equally_likely() {
    let mut first = [0_u32; 5];
    for seed in 0..5_000_u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        first[batches(B256::from(key), 5, 1, 1)[0][0] as usize] += 1;
    }
    // Five standard deviations of a binomial with n = 5000 and p = 1/5.
    assert!(first.iter().all(|&n| n.abs_diff(1_000) < 142), "{first:?}");
}
