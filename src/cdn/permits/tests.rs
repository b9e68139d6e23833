use std::num::NonZeroU32;

use proptest::prelude::*;
use tokio::{task::JoinSet, time::sleep};

use super::*;

fn permits(rate: u32, burst: u32) -> Arc<Permits> {
    let number = |n| NonZeroU32::new(n).unwrap();
    Arc::new(Permits::new(&RateLimit { calls_per_second: number(rate), burst: number(burst) }))
}

/// A runtime whose clock stands still and jumps to the next timer when nothing can run.
fn paused<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

/// Makes calls that take as long as given (up to the gateway, and from there), and returns when each arrived there.
async fn arrivals(permits: &Arc<Permits>, calls: Vec<(u64, u64)>) -> Vec<Instant> {
    let mut tasks = JoinSet::new();
    for (there, back) in calls {
        let permits = Arc::clone(permits);
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            sleep(Duration::from_millis(there)).await;
            let arrived = clock::instant();
            sleep(Duration::from_millis(back)).await;
            arrived
        });
    }
    let mut arrived = tasks.join_all().await;
    arrived.sort();
    arrived
}

fn busiest_second(arrived: &[Instant]) -> usize {
    let within = |from: &Instant| arrived.iter().filter(|at| (*from..*from + WINDOW).contains(at)).count();
    arrived.iter().map(within).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_second_at_the_gateway_sees_more_than_rate_and_burst(
        rate in 1_u32..12, burst in 1_u32..6,
        calls in proptest::collection::vec((0_u64..4000, 0_u64..1500), 1..120),
    ) {
        let arrived = paused(async { arrivals(&permits(rate, burst), calls).await });
        prop_assert!(busiest_second(&arrived) <= (rate + burst) as usize);
    }
}

#[test]
fn calls_that_were_held_up_together_do_not_arrive_with_new_ones() {
    // The rate alone would let 20 slow ones and 20 quick ones arrive in the same second.
    let calls = (0..60).map(|n| if n < 20 { (1000 - n * 50, 0) } else { (0, 0) }).collect();
    let arrived = paused(async { arrivals(&permits(20, 5), calls).await });
    assert_eq!(arrived.len(), 60);
    assert!(busiest_second(&arrived) <= 25);
}

#[tokio::test(start_paused = true)]
async fn the_burst_goes_at_once_and_then_the_rate_holds() {
    let (permits, begin) = (permits(10, 5), clock::instant());
    let arrived = arrivals(&permits, vec![(0, 0); 25]).await;
    let millis: Vec<u128> = arrived.iter().map(|at| at.duration_since(begin).as_millis()).collect();
    assert_eq!(millis[..5], [0; 5]);
    assert!((99..=102).contains(&millis[5]), "{millis:?}");
    assert!(millis[24] >= 2000, "{millis:?}");
}

#[tokio::test(start_paused = true)]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let permits = permits(5, 1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let (permits, order) = (Arc::clone(&permits), Arc::clone(&order));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            order.lock().unwrap().push(n);
        });
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let permits = permits(1, 1);
    let first = permits.acquire().await;
    for _ in 0..10 {
        assert!(tokio::time::timeout(Duration::from_millis(10), permits.acquire()).await.is_err());
    }
    drop(first);
    let begin = clock::instant();
    drop(permits.acquire().await);
    drop(permits.acquire().await);
    assert!(clock::instant() - begin <= Duration::from_millis(2100));
    let state = permits.shared.lock();
    assert_eq!(state.held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_keeps_its_slot_and_no_other() {
    let permits = permits(1, 1);
    let stuck = permits.acquire().await;
    for _ in 0..5 {
        drop(permits.acquire().await);
    }
    let other = permits.acquire().await;
    // Both slots are out: nobody is let in however long it takes, until one of them ends.
    assert!(tokio::time::timeout(Duration::from_secs(3600), permits.acquire()).await.is_err());
    drop(other);
    drop(permits.acquire().await);
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn throttling_pauses_everyone_and_is_undone_slowly() {
    let (permits, begin) = (permits(10, 5), clock::instant());
    // Four calls of one moment are refused together.
    let mut paused = Duration::ZERO;
    for _ in 0..4 {
        paused += permits.throttled(Duration::from_secs(30));
    }
    paused += permits.throttled(Duration::from_secs(10));
    assert_eq!(paused, Duration::from_secs(30), "time in which several ask for a pause counts once");
    assert_eq!(permits.throttled(Duration::from_secs(30)), Duration::ZERO);
    assert_eq!(permits.paused_for(), Duration::from_secs(30));
    assert!((permits.spacing_factor() - 2.0).abs() < 1e-9);
    let arrived = arrivals(&permits, vec![(0, 0); 4]).await;
    assert!(arrived[0] - begin >= Duration::from_secs(30));
    for pair in arrived.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(200), "no burst, and twice the spacing: {arrived:?}");
    }
    for _ in 0..5 {
        permits.throttled(Duration::from_secs(1));
        sleep(Duration::from_secs(2)).await;
    }
    assert!((permits.spacing_factor() - SPACING_MAX).abs() < 1e-9);
    for _ in 0..19 {
        permits.succeeded();
    }
    assert!(permits.spacing_factor() > 1.0);
    permits.succeeded();
    assert!((permits.spacing_factor() - 1.0).abs() < 1e-9);
    permits.throttled(Duration::MAX);
    assert_eq!(permits.paused_for(), WAIT_MAX);
}
