use super::*;

#[test]
fn files_bound_connections() {
    assert_eq!(within(None, 10_000), 10_000);
    assert_eq!(within(Some(1_048_576), 10_000), 10_000);
    assert_eq!(within(Some(1024), 10_000), 192);
    assert_eq!(within(Some(10), 10_000), 1);
}

#[test]
fn waiting_is_bounded_and_places_come_back() {
    let waiting = Places::default();
    let mut places: Vec<_> = (0..WAITING_MAX).map(|_| wait(&waiting).unwrap()).collect();
    assert_eq!(wait(&waiting).unwrap_err().reason, Reason::Overloaded);
    places.pop();
    let _place = wait(&waiting).unwrap();
    assert!(wait(&waiting).is_err());
}
