//! kill -9 while clients write: every acknowledged statement is there, of the others each whole or not at all.
//!
//! A writer inserts batches of [`BATCH`] rows with one number each, and transfers between two accounts in one UPDATE.
//! HEADWATER_CRASH_ROUNDS asks for more rounds; the pauses come from a fixed sequence, so a failure can be repeated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::Client;

use crate::server::Server;

const ROUNDS: usize = 100;
const BATCH: i64 = 3;
/// A server is killed within this many milliseconds of its first write.
const PAUSE_MS_MAX: u64 = 300;

/// What the writer knows: the last number acknowledged, the one under way, and the transfers acknowledged.
#[derive(Clone, Copy, Default)]
struct Progress {
    acknowledged: i64,
    under_way: i64,
    transfers: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var("HEADWATER_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE numbers (n bigint NOT NULL, part bigint NOT NULL);
             CREATE TABLE accounts (id bigint NOT NULL, amount bigint NOT NULL);
             INSERT INTO accounts VALUES (1, 1000), (2, 1000)",
        )
        .await
        .expect("the tables can be made");
    let progress = Arc::new(Mutex::new(Progress::default()));
    let mut pauses = Pauses(42);
    for round in 0..rounds {
        let writer = tokio::spawn(write(server.connect().await, Arc::clone(&progress)));
        tokio::time::sleep(pauses.next()).await;
        server.kill_and_restart();
        writer.await.expect("the writer ends with its connection");
        let client = server.connect().await;
        check(&client, &progress, round).await;
    }
    let progress: Progress = *progress.lock().unwrap();
    println!("{rounds} kills, {} inserts and {} updates landed", progress.acknowledged, progress.transfers);
    assert!(progress.acknowledged > 0 && progress.transfers > 0, "the writer never got an answer");
}

/// Inserts and transfers until the connection breaks.
async fn write(client: Client, progress: Arc<Mutex<Progress>>) {
    loop {
        let n = {
            let mut progress = progress.lock().unwrap();
            progress.under_way = progress.acknowledged + 1;
            progress.under_way
        };
        let insert = format!("INSERT INTO numbers SELECT {n}, part FROM generate_series(1, {BATCH}) AS s(part)");
        if client.batch_execute(&insert).await.is_err() {
            return;
        }
        progress.lock().unwrap().acknowledged = n;
        let transfer = "UPDATE accounts SET amount = CASE id WHEN 1 THEN amount - 1 ELSE amount + 1 END";
        if client.batch_execute(transfer).await.is_err() {
            return;
        }
        progress.lock().unwrap().transfers += 1;
    }
}

async fn check(client: &Client, progress: &Mutex<Progress>, round: usize) {
    let rows = client.query("SELECT n, count(*) FROM numbers GROUP BY n", &[]).await.expect("the table can be read");
    let counts: BTreeMap<i64, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    check_counts(&counts, &mut progress.lock().unwrap(), round);
    let rows = client.query("SELECT amount FROM accounts ORDER BY id", &[]).await.expect("the table can be read");
    let amounts: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let mut progress = progress.lock().unwrap();
    // The transfer under way may have landed.
    let landed = amounts[1] - 1000;
    assert!(
        (progress.transfers..=progress.transfers + 1).contains(&landed),
        "round {round}: {landed} transfers landed"
    );
    assert_eq!(amounts, [1000 - landed, 1000 + landed], "round {round}: a transfer is whole or not there");
    progress.transfers = landed;
}

fn check_counts(counts: &BTreeMap<i64, i64>, progress: &mut Progress, round: usize) {
    for n in 1..=progress.acknowledged {
        assert_eq!(counts.get(&n), Some(&BATCH), "round {round}: statement {n} was acknowledged");
    }
    for (n, count) in counts.range(progress.acknowledged + 1..) {
        assert_eq!(
            (*n, *count),
            (progress.under_way, BATCH),
            "round {round}: only the statement under way may be there"
        );
    }
    // The statement under way may have landed: its number is not used again.
    progress.acknowledged = progress.acknowledged.max(counts.keys().next_back().copied().unwrap_or(0));
}

/// Pauses of a fixed pseudo-random sequence (xorshift).
struct Pauses(u64);

impl Pauses {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % PAUSE_MS_MAX)
    }
}
