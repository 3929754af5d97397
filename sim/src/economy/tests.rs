use super::plan::{Play, Property};
use super::{PROPERTIES, plot, report::Report};

fn play(property: &Property, unprotected: bool) -> bool {
    let outcome = (property.play)(&Play { seed: 1, small: true, unprotected });
    println!("{} unprotected={unprotected} holds={} {:?}", property.id, outcome.holds, outcome.figures);
    outcome.holds
}

#[test]
fn every_property_holds_in_a_small_play() {
    for property in PROPERTIES {
        assert!(play(property, false), "{}: {}", property.id, property.claim);
    }
}

#[test]
fn every_property_fails_without_what_protects_it() {
    for property in PROPERTIES {
        assert!(!play(property, true), "{} holds without: {}", property.id, property.protection);
    }
}

#[test]
fn a_seed_gives_the_same_figures_twice() {
    let play = Play { seed: 7, small: true, unprotected: false };
    for property in PROPERTIES {
        assert_eq!((property.play)(&play).figures, (property.play)(&play).figures, "{}", property.id);
    }
}

#[test]
fn a_plot_is_drawn_of_whatever_was_played() {
    let mut report = Report::default();
    for property in PROPERTIES.iter().filter(|property| ["P2", "P10"].contains(&property.id)) {
        report.add(property, 1, (property.play)(&Play { seed: 1, small: true, unprotected: false }));
    }
    assert!(plot::draw(&report).contains("honest challenger"));
}
