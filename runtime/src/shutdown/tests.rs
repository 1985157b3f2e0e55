use std::time::Duration;

use super::Shutdown;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn tasks_end_when_asked() {
    let shutdown = Shutdown::default();
    let token = shutdown.token();
    shutdown.spawn("waits", async move {
        token.cancelled().await;
        Ok(())
    });
    shutdown.begin();
    shutdown.wait(DEADLINE).await.expect("an orderly end");
}

#[tokio::test]
async fn a_failed_task_ends_the_others_and_is_the_result() {
    let shutdown = Shutdown::default();
    let token = shutdown.token();
    shutdown.spawn("waits", async move {
        token.cancelled().await;
        Ok(())
    });
    shutdown.spawn("fails", async { anyhow::bail!("no luck") });
    let error = shutdown.wait(DEADLINE).await.expect_err("the failure");
    assert_eq!(format!("{error:#}"), "task fails: no luck");
}

#[tokio::test]
async fn a_panic_is_a_failure_with_the_name_of_its_task() {
    let shutdown = Shutdown::default();
    shutdown.spawn("panics", async { panic!("a bug") });
    let error = shutdown.wait(DEADLINE).await.expect_err("the panic");
    assert!(error.to_string().starts_with("task panics panicked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_reported_at_the_deadline() {
    let shutdown = Shutdown::default();
    shutdown.spawn("deaf", std::future::pending());
    shutdown.begin();
    let error = shutdown.wait(DEADLINE).await.expect_err("the late task");
    assert!(error.to_string().contains("1 tasks were still running"), "{error}");
}
