use proptest::prelude::*;

use super::*;

fn split(weights: &[u32]) -> Option<Split<usize>> {
    Split::new(weights.iter().enumerate().map(|(index, weight)| (index, Weight(*weight))))
}

/// The smallest draw that lands on or above `numerator / denominator` of the range.
fn draw_at(numerator: u128, denominator: u128) -> u64 {
    u64::try_from((numerator << 64).div_ceil(denominator)).unwrap()
}

#[test]
fn nothing_to_choose_is_no_split() {
    assert_eq!(split(&[]), None);
    assert_eq!(split(&[0]), None);
    assert_eq!(split(&[0, 0]), None);
}

#[test]
fn a_table_of_draws() {
    let rows: &[(&[u32], u64, usize)] = &[
        (&[1], 0, 0),
        (&[1], u64::MAX, 0),
        (&[90, 10], 0, 0),
        (&[90, 10], draw_at(90, 100) - 1, 0),
        (&[90, 10], draw_at(90, 100), 1),
        (&[90, 10], u64::MAX, 1),
        (&[0, 100], 0, 1),
        (&[100, 0], u64::MAX, 0),
        (&[1, 0, 1], draw_at(1, 2) - 1, 0),
        (&[1, 0, 1], draw_at(1, 2), 2),
        (&[1, 1, 1], draw_at(1, 3), 1),
        (&[1, 1, 1], draw_at(2, 3), 2),
        (&[u32::MAX, u32::MAX], draw_at(1, 2) - 1, 0),
        (&[u32::MAX, u32::MAX], draw_at(1, 2), 1),
    ];
    for (weights, draw, want) in rows {
        assert_eq!(split(weights).unwrap().pick(*draw), want, "{weights:?} {draw:#x}");
    }
}

#[test]
fn evenly_spread_draws_give_the_exact_shares() {
    let split = split(&[90, 7, 0, 3]).unwrap();
    let mut counts = [0_u32; 4];
    for step in 0..10_000_u128 {
        counts[*split.pick(draw_at(step, 10_000))] += 1;
    }
    assert_eq!(counts, [9_000, 700, 0, 300]);
    assert_eq!([0, 1, 2, 3, 4].map(|index| split.share(index)), [0.9, 0.07, 0.0, 0.03, 0.0]);
}

#[test]
fn mapping_keeps_the_shares() {
    let split = split(&[3, 1]).unwrap().map(|index| format!("b{index}"));
    assert_eq!(
        split.entries().map(|(name, weight)| (name.as_str(), weight.0)).collect::<Vec<_>>(),
        [("b0", 3), ("b1", 1)]
    );
    assert_eq!(split.pick(draw_at(3, 4)), "b1");
    assert_eq!(Split::single("only").pick(7), &"only");
}

proptest! {
    #[test]
    fn a_pick_never_lands_on_weight_zero(weights in prop::collection::vec(prop_oneof![Just(0), any::<u32>()], 0..8), draw: u64) {
        if let Some(split) = split(&weights) {
            prop_assert!(weights[*split.pick(draw)] > 0);
        }
    }

    #[test]
    fn shares_sum_to_one(weights in prop::collection::vec(any::<u32>(), 1..8)) {
        if let Some(split) = split(&weights) {
            let sum: f64 = (0..weights.len()).map(|index| split.share(index)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn larger_draws_pick_later_entries(weights in prop::collection::vec(0_u32..1000, 1..8), a: u64, b: u64) {
        if let Some(split) = split(&weights) {
            prop_assert!(split.pick(a.min(b)) <= split.pick(a.max(b)));
        }
    }
}
