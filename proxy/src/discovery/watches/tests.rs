use super::*;

fn running(id: u64, names: &[&str]) -> Running {
    Running {
        id,
        selection: select(names),
        task: tokio::spawn(std::future::pending::<()>()).abort_handle(),
        state: State::default(),
    }
}

fn names(selection: Option<Selection>) -> Option<usize> {
    selection.map(|selection| match selection {
        Selection::Names(names) => names.len(),
        Selection::All => usize::MAX,
    })
}

fn select(names: &[&str]) -> Selection {
    Selection::Names(names.iter().map(|name| Arc::from(*name)).collect())
}

#[tokio::test]
async fn the_narrower_watch_speaks_until_the_wider_one_has_listed() {
    let mut pair = Pair::default();
    assert!(pair.lacks(&select(&["web"]), false));
    pair.add(running(1, &["web"]));
    assert!(!pair.lacks(&select(&["web"]), false));
    assert_eq!(names(pair.admit(1, &News::Listed(Vec::new()))), Some(1));

    assert!(pair.lacks(&select(&["web", "api"]), false));
    pair.add(running(2, &["web", "api"]));
    assert!(!pair.lacks(&select(&["web", "api", "db"]), false), "one at a time");
    assert_eq!(names(pair.admit(2, &News::Failed("403".into()))), None);
    assert_eq!(names(pair.admit(1, &News::Listed(Vec::new()))), Some(1), "the first still speaks");

    assert_eq!(names(pair.admit(2, &News::Listed(Vec::new()))), Some(2));
    assert_eq!(names(pair.admit(1, &News::Listed(Vec::new()))), None, "superseded");
    assert!(pair.lacks(&select(&["web", "api", "db"]), false));
}

#[tokio::test]
async fn a_watch_that_covers_too_much_is_replaced_only_when_narrowing() {
    let mut pair = Pair::default();
    pair.add(running(1, &["web", "api"]));
    assert!(!pair.lacks(&select(&["web"]), false));
    assert!(pair.lacks(&select(&["web"]), true));
}

#[tokio::test]
async fn a_dropped_watch_ends() {
    let task = tokio::spawn(std::future::pending::<()>());
    let watch = Running { id: 1, selection: Selection::All, task: task.abort_handle(), state: State::default() };
    drop(watch);
    assert!(task.await.unwrap_err().is_cancelled());
}

#[test]
fn a_failure_is_remembered_from_its_start_until_the_watch_runs() {
    let mut state = State::default();
    state.note(&News::Failed("first".into()));
    let since = state.failing.clone().unwrap().0;
    state.note(&News::Failed("second".into()));
    let (later, reason) = state.failing.clone().unwrap();
    assert_eq!((later, &*reason), (since, "second"));
    state.note(&News::Resumed);
    assert!(state.failing.is_none() && !state.initialised);
    state.note(&News::Listed(Vec::new()));
    assert!(state.initialised);
}
